using System.Collections.Immutable;

namespace MigrationD.Protocol.Session;

/// <summary>The migration as its destination sees it, as a pure function: no I/O, no clock. Total: what cannot be is refused.</summary>
/// <remarks>
/// <code>
///            LoadStateReceived           Loaded          RunReceived                  AllPagesReceived
///   Prepared -----------------> Loading -------> Ready -------------> PostcopyActive -----------------> Completed
///       |                          |               |                    |        ^
///       | AbortReceived, OutcomeAsked, Failed,     |           LinkLost |        | LinkRestored
///       | LinkLost                 |               |                    v        |
///       v                          v               v                  PostcopyPaused
///     NeverStarted: final, and a promise
/// </code>
/// Before Run the destination may give up at any time, because the source asks before it resumes. To be asked for the outcome is to be
/// told that the source is about to decide: the answer NeverStarted closes the door for a Run that is still on its way.
/// </remarks>
public static class DestinationMachine
{
    /// <summary>What happens on <paramref name="happened"/> in <paramref name="state"/>.</summary>
    public static DestinationTransition Next(DestinationState state, DestinationEvent happened) => (state, happened) switch
    {
        (DestinationState.Prepared, DestinationEvent.LoadStateReceived) => To(DestinationState.Loading, DestinationAction.LoadState),
        (DestinationState.Loading, DestinationEvent.Loaded) => To(DestinationState.Ready, DestinationAction.AnswerReady),
        (DestinationState.Ready, DestinationEvent.RunReceived) =>
            To(DestinationState.PostcopyActive, DestinationAction.RunGuest, DestinationAction.AnswerRunning),

        (DestinationState.Prepared or DestinationState.Loading or DestinationState.Ready, DestinationEvent.OutcomeAsked) =>
            To(DestinationState.NeverStarted, DestinationAction.Discard, DestinationAction.AnswerNeverStarted),
        (DestinationState.Prepared or DestinationState.Loading or DestinationState.Ready,
            DestinationEvent.AbortReceived or DestinationEvent.Failed or DestinationEvent.LinkLost) =>
            To(DestinationState.NeverStarted, DestinationAction.Discard),

        (DestinationState.NeverStarted, DestinationEvent.OutcomeAsked) => To(state, DestinationAction.AnswerNeverStarted),
        (DestinationState.NeverStarted, DestinationEvent.AbortReceived) => To(state),

        // Run and its question may come twice: an answer was lost.
        (DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.Completed,
            DestinationEvent.RunReceived or DestinationEvent.OutcomeAsked) => To(state, DestinationAction.AnswerRunning),

        (DestinationState.PostcopyActive, DestinationEvent.LinkLost) => To(DestinationState.PostcopyPaused),
        (DestinationState.PostcopyPaused, DestinationEvent.LinkRestored) => To(DestinationState.PostcopyActive),
        (DestinationState.PostcopyActive or DestinationState.PostcopyPaused, DestinationEvent.AllPagesReceived) =>
            To(DestinationState.Completed, DestinationAction.Finish),

        (_, DestinationEvent.LinkLost) => To(state),

        _ => To(state, DestinationAction.Refuse),
    };

    /// <summary>Whether nothing more can happen.</summary>
    public static bool IsFinal(DestinationState state) => state is DestinationState.Completed or DestinationState.NeverStarted;

    /// <summary>Whether the guest runs, or may run, on the destination in this state.</summary>
    public static bool OwnsGuest(DestinationState state) =>
        state is DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.Completed;

    private static DestinationTransition To(DestinationState state, params ImmutableArray<DestinationAction> actions) =>
        new(state, actions);
}
