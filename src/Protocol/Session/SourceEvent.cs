namespace MigrationD.Protocol.Session;

/// <summary>What can happen to a migration on its source.</summary>
public enum SourceEvent
{
    /// <summary>The operator asked for it.</summary>
    Started,

    /// <summary>The destination has prepared and all lanes are open; the switchover is next.</summary>
    Prepared,

    /// <summary>The destination has prepared and all lanes are open; precopy is next.</summary>
    PrecopyPrepared,

    /// <summary>Precopy has done what it can; what is left follows in or after the switchover.</summary>
    PrecopyEnded,

    /// <summary>The destination has loaded the device state and could run the guest now.</summary>
    Ready,

    /// <summary>Something failed; means a rollback before Run was sent.</summary>
    Failed,

    /// <summary>The operator wants it stopped.</summary>
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

    /// <summary>The operator says that the guest is to go on here, from its state at the switchover, and that it runs nowhere else.</summary>
    ResumeHereOrdered,

    /// <summary>The destination holds every page.</summary>
    AllPagesPlaced,
}
