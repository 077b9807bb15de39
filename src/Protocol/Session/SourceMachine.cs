using System.Collections.Immutable;

namespace MigrationD.Protocol.Session;

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
/// Idle can be cancelled as Setup can. Precopy lies between Setup and Device, and can only fall back to Setup (LinkLost) or end as Setup does:
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

        (SourceState.Setup, SourceEvent.Prepared) => To(SourceState.Device, SourceAction.PauseGuest, SourceAction.SendState),
        (SourceState.Setup, SourceEvent.PrecopyPrepared) => To(SourceState.PrecopyActive, SourceAction.Precopy),
        (SourceState.PrecopyActive, SourceEvent.PrecopyEnded) =>
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
        (SourceState.HandingOver, SourceEvent.NeverStarted) => To(SourceState.Failed, SourceAction.ReturnGuest),
        (SourceState.HandingOver, SourceEvent.DestinationGone) => To(SourceState.PostcopyPaused, SourceAction.AwaitOperator),

        (SourceState.PostcopyActive, SourceEvent.AllPagesPlaced) => To(SourceState.Completed, SourceAction.FreeGuest),
        (SourceState.PostcopyActive, SourceEvent.LinkLost) => To(SourceState.PostcopyPaused, SourceAction.Recover),

        (SourceState.PostcopyPaused, SourceEvent.LinkRestored) => To(SourceState.PostcopyActive, SourceAction.StreamPages),
        (SourceState.PostcopyPaused, SourceEvent.AllPagesPlaced) => To(SourceState.Completed, SourceAction.FreeGuest),
        (SourceState.PostcopyPaused, SourceEvent.RecoverOrdered) => To(SourceState.PostcopyPaused, SourceAction.Recover),
        (SourceState.PostcopyPaused, SourceEvent.RecoveryGivenUp or SourceEvent.DestinationGone) =>
            To(SourceState.PostcopyPaused, SourceAction.AwaitOperator),

        (SourceState.HandingOver or SourceState.PostcopyPaused, SourceEvent.ResumeHereOrdered) =>
            To(SourceState.Failed, SourceAction.ReturnGuest),

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
