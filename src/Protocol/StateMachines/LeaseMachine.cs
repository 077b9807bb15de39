namespace MigrationD.Protocol.StateMachines;

/// <summary>
/// Says who may do what with a guest of one node, as a pure function: no I/O, no clock. The engines of both sides and the node's operators
/// meet in it, and one of them has the guest at a time.
/// </summary>
/// <remarks>
/// <code>
///              Taken            GivenAway         Freed          DeleteOrdered
///   None ----------------> Outgoing ------> Away -------> Gone -----------------> Deleted
///    | ^                       |              |                                      ^
///    | |       Returned        |              |                                      |
///    | +-----------------------+--------------+                                      |
///    |                                                                 DeleteOrdered |
///    +-------------------------------------------------------------------------------+
///    ^                                                                               |
///    | Settled                                                                     Ended
///    |                Arrived             PagesLost         DeleteOrdered
///   Arriving &lt;---------------- Incoming       +-----&gt; Lost ---------------&gt; Deleting
///    |  ^                         |           |        | |                     | |
///    +--|-------------------------|-----------+        | | Discarded           | |
///       |                         +------&gt; Discarded &lt;-|-+---------------------+ |
///       +----------------------------------------------+-------------------------+ Revived
/// </code>
/// What operators order stays where it is: CommandOrdered in None and Arriving, ReadOrdered in None, SalvageOrdered in None and Lost.
/// </remarks>
public static class LeaseMachine
{
    /// <summary>
    /// The hold after <paramref name="happened"/> in <paramref name="hold"/>; null when that is refused to an operator, or cannot happen to
    /// an engine.
    /// </summary>
    public static Hold? Next(Hold hold, HoldEvent happened) => (hold, happened) switch
    {
        (Hold.None or Hold.Arriving, HoldEvent.CommandOrdered) => hold,
        (Hold.None, HoldEvent.ReadOrdered) => hold,
        (Hold.None or Hold.Lost, HoldEvent.SalvageOrdered) => hold,

        // What is known of a guest that is elsewhere, or has ended, holds nothing of it.
        (Hold.None or Hold.Gone or Hold.Ended, HoldEvent.DeleteOrdered) => Hold.Deleted,
        // Its memory is its session's, which may hear of the source's return at the same time.
        (Hold.Lost or Hold.Deleting, HoldEvent.DeleteOrdered) => Hold.Deleting,

        (Hold.None, HoldEvent.Taken) => Hold.Outgoing,
        (Hold.Outgoing, HoldEvent.GivenAway) => Hold.Away,
        (Hold.Outgoing or Hold.Away, HoldEvent.Returned) => Hold.None,
        (Hold.Away, HoldEvent.Freed) => Hold.Gone,

        (Hold.Incoming, HoldEvent.Arrived) => Hold.Arriving,
        (Hold.Arriving, HoldEvent.Settled) => Hold.None,
        (Hold.Arriving, HoldEvent.PagesLost) => Hold.Lost,
        (Hold.Lost or Hold.Deleting, HoldEvent.Revived) => Hold.Arriving,
        // From Lost as well: the order may have been given when it was lost before, and be carried out now.
        (Hold.Incoming or Hold.Lost or Hold.Deleting, HoldEvent.Discarded) => Hold.Discarded,

        _ => null,
    };

    /// <summary>Whether the guest may run on this node.</summary>
    public static bool MayRun(Hold hold) => hold is Hold.None or Hold.Outgoing or Hold.Arriving;
}

/// <summary>Who has a guest of this node in hand right now: its operators, a migration on either side, or nobody any more.</summary>
public enum Hold
{
    /// <summary>No migration: the guest is this node's alone, and its operators'.</summary>
    None,

    /// <summary>The guest is on its way out, and still owned here.</summary>
    Outgoing,

    /// <summary>The guest is given away; its memory is kept for the destination.</summary>
    Away,

    /// <summary>The guest is given away and all of it is there. Only what is known of it is left here.</summary>
    Gone,

    /// <summary>The guest is on its way in, and not owned here yet.</summary>
    Incoming,

    /// <summary>The guest does not come, or was lost and is deleted: its machine has ended, and its memory is being let go of.</summary>
    Discarded,

    /// <summary>The guest is owned and may run here; pages are still on the source.</summary>
    Arriving,

    /// <summary>The guest is owned here and stands still for good: pages were lost with the source. Its memory is kept.</summary>
    Lost,

    /// <summary>The guest is lost and an operator deletes it. Its session decides whether that comes before the source's return.</summary>
    Deleting,

    /// <summary>The guest ended with a daemon before this one. Only what is known of it is left.</summary>
    Ended,

    /// <summary>An operator deleted the guest, or what was known of it.</summary>
    Deleted,
}

/// <summary>What can happen to the hold on a guest: the engines' steps, and what operators order.</summary>
public enum HoldEvent
{
    /// <summary>An operator wants the guest paused or resumed.</summary>
    CommandOrdered,

    /// <summary>An operator wants to read all of the guest's memory.</summary>
    ReadOrdered,

    /// <summary>An operator wants to read what is here of the guest's memory.</summary>
    SalvageOrdered,

    /// <summary>An operator wants the guest deleted.</summary>
    DeleteOrdered,

    /// <summary>An operator wants the guest moved: the source's engine takes it.</summary>
    Taken,

    /// <summary>The source gives the guest away; Run is sent next.</summary>
    GivenAway,

    /// <summary>The migration did not happen, or its guest goes on here after all.</summary>
    Returned,

    /// <summary>Every page is elsewhere: the guest's memory here is freed.</summary>
    Freed,

    /// <summary>The guest runs here; its pages follow.</summary>
    Arrived,

    /// <summary>Every page has come.</summary>
    Settled,

    /// <summary>Pages are lost with the source.</summary>
    PagesLost,

    /// <summary>The source is back after all.</summary>
    Revived,

    /// <summary>The guest is not coming, or is lost and deleted: its machine ends.</summary>
    Discarded,
}
