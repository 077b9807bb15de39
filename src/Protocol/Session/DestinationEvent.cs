namespace MigrationD.Protocol.Session;

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
