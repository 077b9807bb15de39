using System.Collections.Immutable;

namespace MigrationD.Protocol.StateMachines;

/// <summary>
/// The migration as its source sees it, as a pure function: no I/O, no clock. The engine carries out the actions in order and feeds
/// back what came of the last one.
/// </summary>
/// <remarks>
/// <code>
///           Started            Prepared            Ready               RunConfirmed              AllPagesPlaced
///   Idle ------------> Setup ------------> Device --------> HandingOver ---------> PostcopyActive -------------> Completed
///                        |                   |               |  |   ^                |        ^                       ^
///                Failed, |           Failed, |  NeverStarted,|  |   | RunUnanswered  | LinkLost, LinkRestored         |
///        CancelRequested |   CancelRequested |     ResumeHere|  |   | (ask again)    v        |                       |
///                        v                   v        Ordered|  +------------------> PostcopyPaused -----------------+
///                     Failed / Cancelled  &lt;------------------+  DestinationGone      |  ^      |   AllPagesPlaced
///                     the guest goes on here  &lt;--------------------------------------+  +------+
///                                                                ResumeHereOrdered      RecoveryGivenUp, DestinationGone,
///                                                                                       RecoverOrdered
/// </code>
/// Idle can be cancelled as Setup can. Precopy lies between Setup and Device, and can only fall back to Setup (LinkLost) or end as Setup
/// does:
/// <code>
///           PrecopyPrepared                PrecopyEnded
///   Setup ------------------&gt; PrecopyActive -------------&gt; Device
///         &lt;------------------
///              LinkLost
/// </code>
/// Ownership changes in one place: the action <see cref="SourceAction.GiveAway"/>, before <see cref="SourceAction.SendRun"/>. No transition
/// out of <see cref="SourceState.HandingOver"/> or what follows resumes the guest but the destination's own word that it never started, and
/// an operator's order: only a person can know that the destination's host is gone.
/// </remarks>
public static class SourceMachine
{
    /// <summary>
    /// What happens on <paramref name="happened"/> in <paramref name="state"/>; null when it cannot happen or is refused there.
    /// </summary>
    public static SourceTransition? Next(SourceState state, SourceEvent happened) => (state, happened) switch
    {
        (SourceState.Idle, SourceEvent.Started) => To(SourceState.Setup, SourceAction.Prepare),
        // No destination knows of it yet.
        (SourceState.Idle, SourceEvent.CancelRequested) => To(SourceState.Cancelled, SourceAction.ReturnGuest),

        (SourceState.Setup, SourceEvent.PrecopyPrepared) => To(SourceState.PrecopyActive, SourceAction.Precopy),
        (SourceState.Setup, SourceEvent.Prepared) or (SourceState.PrecopyActive, SourceEvent.PrecopyEnded) =>
            To(SourceState.Device, SourceAction.PauseGuest, SourceAction.SendState),
        // The guest has never left: all of it can be begun again, in a new session.
        (SourceState.PrecopyActive, SourceEvent.LinkLost) => To(SourceState.Setup, SourceAction.Prepare),
        (SourceState.Device, SourceEvent.Ready) => To(SourceState.HandingOver, SourceAction.GiveAway, SourceAction.SendRun),

        // The guest first: telling the other side may take as long as a dead link takes.
        (SourceState.Setup or SourceState.PrecopyActive or SourceState.Device, SourceEvent.Failed) =>
            To(SourceState.Failed, SourceAction.ReturnGuest, SourceAction.AbortDestination),
        (SourceState.Setup or SourceState.PrecopyActive or SourceState.Device, SourceEvent.CancelRequested) =>
            To(SourceState.Cancelled, SourceAction.ReturnGuest, SourceAction.AbortDestination),

        (SourceState.HandingOver, SourceEvent.RunConfirmed) => To(SourceState.PostcopyActive, SourceAction.StreamPages),
        (SourceState.HandingOver, SourceEvent.RunUnanswered) => To(SourceState.HandingOver, SourceAction.AskOutcome),
        (SourceState.HandingOver, SourceEvent.NeverStarted)
            or (SourceState.HandingOver or SourceState.PostcopyPaused, SourceEvent.ResumeHereOrdered) =>
            To(SourceState.Failed, SourceAction.ReturnGuest),
        (SourceState.HandingOver or SourceState.PostcopyPaused, SourceEvent.DestinationGone)
            or (SourceState.PostcopyPaused, SourceEvent.RecoveryGivenUp) =>
            To(SourceState.PostcopyPaused, SourceAction.AwaitOperator),

        (SourceState.PostcopyActive, SourceEvent.LinkLost) or (SourceState.PostcopyPaused, SourceEvent.RecoverOrdered) =>
            To(SourceState.PostcopyPaused, SourceAction.Recover),
        (SourceState.PostcopyPaused, SourceEvent.LinkRestored) => To(SourceState.PostcopyActive, SourceAction.StreamPages),
        (SourceState.PostcopyActive or SourceState.PostcopyPaused, SourceEvent.AllPagesPlaced) =>
            To(SourceState.Completed, SourceAction.FreeGuest),

        _ => null,
    };

    /// <summary>Whether nothing more can happen.</summary>
    public static bool IsFinal(SourceState state) => state is SourceState.Completed or SourceState.Failed or SourceState.Cancelled;

    /// <summary>Whether the guest may run on the source in this state.</summary>
    public static bool OwnsGuest(SourceState state) =>
        state is SourceState.Idle or SourceState.Setup or SourceState.PrecopyActive or SourceState.Device or SourceState.Failed
            or SourceState.Cancelled;

    private static SourceTransition To(SourceState state, params ImmutableArray<SourceAction> actions) => new(state, actions);
}

/// <summary>Where a migration stands on its source.</summary>
public enum SourceState
{
    /// <summary>Nothing has been asked of the destination yet.</summary>
    Idle,

    /// <summary>The destination prepares and the lanes are dialled; the guest runs here, untouched.</summary>
    Setup,

    /// <summary>The guest runs here while its memory is copied, in rounds.</summary>
    PrecopyActive,

    /// <summary>Switchover: the guest is paused here and its device state goes over.</summary>
    Device,

    /// <summary>The guest is given away and Run was sent; whether it arrived is not known yet.</summary>
    HandingOver,

    /// <summary>The guest runs on the destination and its pages follow.</summary>
    PostcopyActive,

    /// <summary>The lanes are lost while pages are missing on the destination. Every page is kept here.</summary>
    PostcopyPaused,

    /// <summary>The destination holds every page; the guest is freed here.</summary>
    Completed,

    /// <summary>The migration did not happen; the guest goes on here as before.</summary>
    Failed,

    /// <summary>The operator stopped the migration before the handover; the guest goes on here as before.</summary>
    Cancelled,
}

/// <summary>What can happen to a migration on its source.</summary>
public enum SourceEvent
{
    /// <summary>The operator asked for the migration.</summary>
    Started,

    /// <summary>The destination has prepared and all lanes are open; the switchover is next.</summary>
    Prepared,

    /// <summary>The destination has prepared and all lanes are open; precopy is next.</summary>
    PrecopyPrepared,

    /// <summary>Precopy has done what it can; what is left follows in or after the switchover.</summary>
    PrecopyEnded,

    /// <summary>The destination has loaded the device state and could run the guest now.</summary>
    Ready,

    /// <summary>Something failed before Run was sent, and the migration is rolled back.</summary>
    Failed,

    /// <summary>The operator wants the migration stopped.</summary>
    CancelRequested,

    /// <summary>Run was answered, or the destination says that the guest runs there.</summary>
    RunConfirmed,

    /// <summary>Run was sent and no answer came.</summary>
    RunUnanswered,

    /// <summary>The destination says that the guest never ran there, and promises that it never will.</summary>
    NeverStarted,

    /// <summary>A lane or the control connection broke while pages are missing, or in precopy.</summary>
    LinkLost,

    /// <summary>New lanes are open and the destination has said which pages it holds.</summary>
    LinkRestored,

    /// <summary>The destination was not reached for as long as the daemon may try by itself.</summary>
    RecoveryGivenUp,

    /// <summary>
    /// The destination answers, and knows nothing of the guest: its process is another one, or an operator gave the guest up there.
    /// </summary>
    DestinationGone,

    /// <summary>The operator wants the link restored, perhaps at another address.</summary>
    RecoverOrdered,

    /// <summary>The operator says that the guest runs nowhere else, and is to go on here from its state at the switchover.</summary>
    ResumeHereOrdered,

    /// <summary>The destination holds every page.</summary>
    AllPagesPlaced,
}

/// <summary>What the source's engine has to do.</summary>
public enum SourceAction
{
    /// <summary>
    /// Close what is left of earlier lanes, send Prepare and dial new ones. Ends in Prepared, PrecopyPrepared or Failed.
    /// </summary>
    Prepare,

    /// <summary>Copy memory in rounds while the guest runs. Ends in PrecopyEnded, LinkLost or Failed.</summary>
    Precopy,

    /// <summary>Stop the vCPUs.</summary>
    PauseGuest,

    /// <summary>
    /// Save the device state, begin to push (memory stands still now, and loading needs some of it), and send LoadState. Ends in Ready or
    /// Failed.
    /// </summary>
    SendState,

    /// <summary>Record that the guest is given away; from here on it is not resumed here without the destination's word.</summary>
    GiveAway,

    /// <summary>Send Run. Ends in RunConfirmed or RunUnanswered.</summary>
    SendRun,

    /// <summary>Ask QueryOutcome until it is answered. Ends in RunConfirmed or NeverStarted.</summary>
    AskOutcome,

    /// <summary>Push pages and answer requests until the destination has all. Ends in AllPagesPlaced or LinkLost.</summary>
    StreamPages,

    /// <summary>
    /// Close what is left of the lanes, and dial the destination until it has said which pages it holds and new lanes are open. Ends in
    /// LinkRestored, AllPagesPlaced, RecoveryGivenUp, DestinationGone or an operator's order.
    /// </summary>
    Recover,

    /// <summary>Keep every page and do nothing. Ends in an operator's order.</summary>
    AwaitOperator,

    /// <summary>The guest is the source's alone again; its vCPUs run, if they ran when the migration began.</summary>
    ReturnGuest,

    /// <summary>Tell the destination to forget the session, as far as it can be reached.</summary>
    AbortDestination,

    /// <summary>Free the guest's memory here.</summary>
    FreeGuest,
}

/// <summary>A step of the source: the state it leads to, and what is to be done, in order.</summary>
/// <param name="State">The new state; recorded before the actions begin.</param>
/// <param name="Actions">What the engine does now.</param>
public sealed record SourceTransition(SourceState State, ImmutableArray<SourceAction> Actions);
