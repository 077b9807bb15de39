using System.Collections.Immutable;

namespace MigrationD.Protocol.Session;

/// <summary>The migration as its destination sees it, as a pure function: no I/O, no clock. Total: what cannot be is refused.</summary>
/// <remarks>
/// <code>
///            LoadStateReceived           Loaded          RunReceived                  AllPagesReceived
///   Prepared -----------------> Loading -------> Ready -------------> PostcopyActive -----------------> Completed
///       |                          |               |                  |     ^      |                       ^
///       | AbortReceived, OutcomeAsked, Failed,     |         LinkLost |     |      | RecoverAsked          |
///       | LinkLost                 |               |                  v     |      v                       |
///       v                          v               v     PostcopyPaused     |   PostcopyRecover -----------+
///     NeverStarted: final, and a promise                   |  |      ^       |     ^  |  |  AllPagesReceived, from each of these
///                                                          |  |      |       +-----|--+  |
///                                                          |  |      +-------------|-----+ LinkLost      LinkRestored
///                                                          |  +--------------------+ RecoverAsked
///                                                SourceGone|                       |
///                                                          v       RecoverAsked    |
///                                        Deleted &lt;------ Lost ---------------------+
/// </code>
/// LinkRestored leads from Lost to PostcopyActive too: a source may be given up while its new lanes are on their way.
///
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
        (DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.PostcopyRecover
            or DestinationState.Lost or DestinationState.Completed,
            DestinationEvent.RunReceived or DestinationEvent.OutcomeAsked) => To(state, DestinationAction.AnswerRunning),

        (DestinationState.PostcopyActive or DestinationState.PostcopyRecover, DestinationEvent.LinkLost) =>
            To(DestinationState.PostcopyPaused),

        // The source may see a loss long before this side does, and may lose the answer.
        (DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.PostcopyRecover,
            DestinationEvent.RecoverAsked) => To(DestinationState.PostcopyRecover, DestinationAction.AnswerReceived),
        (DestinationState.Lost, DestinationEvent.RecoverAsked) =>
            To(DestinationState.PostcopyRecover, DestinationAction.Revive, DestinationAction.AnswerReceived),
        (DestinationState.Completed, DestinationEvent.RecoverAsked) => To(state, DestinationAction.AnswerReceived),
        // In PostcopyPaused as well: only the newest secret opens lanes, so both being open means that the link is there.
        (DestinationState.PostcopyPaused or DestinationState.PostcopyRecover, DestinationEvent.LinkRestored) =>
            To(DestinationState.PostcopyActive),
        // It was given up between its question and its lanes: they show that it is back.
        (DestinationState.Lost, DestinationEvent.LinkRestored) => To(DestinationState.PostcopyActive, DestinationAction.Revive),

        (DestinationState.PostcopyPaused or DestinationState.PostcopyRecover, DestinationEvent.SourceGone) =>
            To(DestinationState.Lost, DestinationAction.DeclareLost),
        (DestinationState.Lost, DestinationEvent.Deleted) => To(DestinationState.Deleted, DestinationAction.Discard),

        (DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.PostcopyRecover,
            DestinationEvent.AllPagesReceived) => To(DestinationState.Completed, DestinationAction.Finish),

        (_, DestinationEvent.LinkLost) => To(state),

        _ => To(state, DestinationAction.Refuse),
    };

    /// <summary>Whether nothing more can happen.</summary>
    public static bool IsFinal(DestinationState state) =>
        state is DestinationState.Completed or DestinationState.NeverStarted or DestinationState.Deleted;

    /// <summary>Whether the guest runs, or may run, on the destination in this state.</summary>
    public static bool OwnsGuest(DestinationState state) =>
        state is DestinationState.PostcopyActive or DestinationState.PostcopyPaused or DestinationState.PostcopyRecover
            or DestinationState.Lost or DestinationState.Deleted or DestinationState.Completed;

    private static DestinationTransition To(DestinationState state, params ImmutableArray<DestinationAction> actions) =>
        new(state, actions);
}
