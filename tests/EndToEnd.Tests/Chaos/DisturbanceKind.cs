namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>What can happen to a migration from outside.</summary>
internal enum DisturbanceKind
{
    LinkDown,
    SilentDrop,
    Reset,
    StopSource,
    StopDestination,
    KillSource,
    KillDestination,
}
