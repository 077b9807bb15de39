namespace MigrationD.Daemon.Cli.Json;

/// <summary>What a thread, or several, waited for missing pages, in --json.</summary>
internal sealed record ThreadWaitsJson(ulong Faults, double BlocktimeMs);
