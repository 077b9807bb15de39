namespace MigrationD.Protocol.Session;

/// <summary>
/// Who may do what with a guest of one node, as a pure function: no I/O, no clock. The engines of both sides and the node's operators meet in
/// it, and one of them has the guest at a time.
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
    /// The hold after <paramref name="happened"/> in <paramref name="hold"/>; null when that is refused to an operator, or cannot happen to an
    /// engine.
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
