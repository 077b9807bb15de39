namespace MigrationD.Daemon.Cli.Json;

/// <summary>
/// A migration in --json. What the demo prints as well has the same names there. <paramref name="FaultLatencyBuckets"/>: element i counts
/// faults of [2^i, 2^(i+1)) microseconds, element 0 everything below 2 as well.
/// </summary>
internal sealed record MigrationJson(
    string Id,
    string Guest,
    string Role,
    string Peer,
    string State,
    string? Reason,
    DateTimeOffset StartedAt,
    double TotalMs,
    double DowntimeMs,
    ulong BytesSent,
    ulong PagesTotal,
    ulong PagesReceived,
    uint Recoveries,
    ulong PagesLost,
    ulong PagesUrgent,
    ulong PagesPush,
    ulong PagesZero,
    ulong PagesRedundant,
    ulong Moves4K,
    ulong Moves2M,
    ulong Copies,
    ulong Retries,
    ulong BusyFallbacks,
    ulong BlockSplitsAvoided,
    ulong Ioctls,
    double BlocktimeMs,
    FaultLatencyJson FaultLatencyUs,
    IReadOnlyList<ulong> FaultLatencyBuckets);
