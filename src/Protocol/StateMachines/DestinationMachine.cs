using System.Collections.Immutable;

namespace MigrationD.Protocol.StateMachines;

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

/// <summary>Where a migration stands on its destination.</summary>
public enum DestinationState
{
    /// <summary>Memory and machine are there; the device state is not.</summary>
    Prepared,

    /// <summary>The device state is being loaded; that may itself ask for pages.</summary>
    Loading,

    /// <summary>The guest could run now. It does not before Run.</summary>
    Ready,

    /// <summary>The guest runs here; pages follow.</summary>
    PostcopyActive,

    /// <summary>The guest runs here; the lanes are lost while pages are missing.</summary>
    PostcopyPaused,

    /// <summary>The guest runs here; the source has been told which pages are here and opens new lanes.</summary>
    PostcopyRecover,

    /// <summary>The source is gone, and pages with it. The guest stands still and keeps its memory; missing pages stay missing.</summary>
    Lost,

    /// <summary>The guest was lost, and an operator deleted it.</summary>
    Deleted,

    /// <summary>Every page is here.</summary>
    Completed,

    /// <summary>The guest never ran here and never will in this session.</summary>
    NeverStarted,
}

/// <summary>What can happen to a migration on its destination.</summary>
public enum DestinationEvent
{
    /// <summary>LoadState came.</summary>
    LoadStateReceived,

    /// <summary>The device state is loaded.</summary>
    Loaded,

    /// <summary>The device state cannot be loaded, or the session cannot go on.</summary>
    Failed,

    /// <summary>Run came.</summary>
    RunReceived,

    /// <summary>QueryOutcome came.</summary>
    OutcomeAsked,

    /// <summary>Abort came, or the source was silent for too long before Run.</summary>
    AbortReceived,

    /// <summary>A lane broke.</summary>
    LinkLost,

    /// <summary>Recover came: the source has lost the link and wants to know which pages are here.</summary>
    RecoverAsked,

    /// <summary>All lanes are open again.</summary>
    LinkRestored,

    /// <summary>The source did not come back for as long as the daemon waits, or the operator says that it never will.</summary>
    SourceGone,

    /// <summary>The operator deletes a guest that is lost.</summary>
    Deleted,

    /// <summary>The received bitmap is full.</summary>
    AllPagesReceived,
}

/// <summary>What the destination's engine has to do.</summary>
public enum DestinationAction
{
    /// <summary>Load the device state. Ends in Loaded or Failed.</summary>
    LoadState,

    /// <summary>Answer LoadState: the guest could run now.</summary>
    AnswerReady,

    /// <summary>Let the vCPUs run.</summary>
    RunGuest,

    /// <summary>Answer Run or QueryOutcome: the guest is here.</summary>
    AnswerRunning,

    /// <summary>Answer QueryOutcome: the guest never ran here and never will.</summary>
    AnswerNeverStarted,

    /// <summary>Refuse what was asked; it is too late or too early for it.</summary>
    Refuse,

    /// <summary>End all lanes, if they are open, and answer Recover with the received bitmap and the secret for new ones.</summary>
    AnswerReceived,

    /// <summary>Stop the vCPUs, those too that wait for a page, and say how many pages are lost. Memory and registration stay.</summary>
    DeclareLost,

    /// <summary>The source is back after all: take the declaration back and let the vCPUs run.</summary>
    Revive,

    /// <summary>Forget the incoming guest: its machine, its memory, its lanes.</summary>
    Discard,

    /// <summary>Unregister the memory from the userfaultfd and answer Complete.</summary>
    Finish,
}

/// <summary>A step of the destination: the state it leads to, and what is to be done, in order.</summary>
/// <param name="State">The new state; recorded before the actions begin.</param>
/// <param name="Actions">What the engine does now.</param>
public sealed record DestinationTransition(DestinationState State, ImmutableArray<DestinationAction> Actions);
