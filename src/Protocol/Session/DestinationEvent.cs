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

    /// <summary>Both lanes are open again.</summary>
    LinkRestored,

    /// <summary>The received bitmap is full.</summary>
    AllPagesReceived,
}
