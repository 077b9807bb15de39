namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>What somebody did with a guest that must not be.</summary>
public enum Offence
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>An engine took a step that the hold on the guest does not know.</summary>
    Impossible,

    /// <summary>A second migration took the guest from the one that has it in hand.</summary>
    MovedOn,

    /// <summary>An operator read memory that is not all here, or not the guest's any more.</summary>
    Read,
}
