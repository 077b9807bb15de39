namespace MigrationD.Protocol.Session;

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
