namespace MigrationD.Protocol.Session;

/// <summary>What comes after a round of precopy.</summary>
public enum PrecopyStep
{
    /// <summary>Another round.</summary>
    Again,

    /// <summary>The switchover.</summary>
    SwitchOver,

    /// <summary>Nothing: the guest stays where it is.</summary>
    GiveUp,
}
