namespace MigrationD.Daemon.Source.Link;

/// <summary>What a destination says when it is asked once whether it has the guest.</summary>
internal enum DestinationWord
{
    /// <summary>It has it.</summary>
    HasGuest,

    /// <summary>It answers, where the guest was last known to be, and does not have it: the process that ran it has ended.</summary>
    KnowsNothing,

    /// <summary>It does not answer.</summary>
    Silent,
}
