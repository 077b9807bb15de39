namespace MigrationD.Daemon.Json;

/// <summary>
/// A migration in --json. What the demo prints as well has the same names there. <paramref name="FaultLatencyBuckets"/>: element i counts
/// faults of [2^i, 2^(i+1)) microseconds, element 0 everything below 2 as well. <paramref name="QueryMigrate"/> and
/// <paramref name="DomJobInfo"/>, the same in the words of QEMU and libvirt, are in the answer of <c>migration show</c> only.
/// </summary>
internal sealed record MigrationJson(
    string Id,
    string Guest,
    string Role,
    string Peer,
    string Mode,
    string State,
    string? Reason,
    DateTimeOffset StartedAt,
    double TotalMs,
    double? SetupMs,
    double? DowntimeMs,
    ulong BytesSent,
    ulong? DowntimeBytes,
    double BytesPerSecond,
    double PagesPerSecond,
    ulong PagesTotal,
    ulong PagesReceived,
    uint Recoveries,
    ulong PagesLost,
    ulong PagesUrgent,
    ulong PagesPush,
    ulong PagesZero,
    ulong PagesReplaced,
    ulong PagesForgotten,
    ulong PagesRedundant,
    ulong PagesRequested,
    ulong PrefetchHits,
    ulong Moves4K,
    ulong Moves2M,
    ulong Copies,
    ulong Retries,
    ulong BusyFallbacks,
    ulong BlockSplitsAvoided,
    ulong Ioctls,
    double BlocktimeMs,
    double AllVcpusBlocktimeMs,
    IReadOnlyList<ThreadWaitsJson> Vcpus,
    ThreadWaitsJson OtherThreads,
    FaultLatencyJson FaultLatencyUs,
    FaultLatencyJson FaultQueueUs,
    FaultLatencyJson FaultNetworkUs,
    FaultLatencyJson FaultPlaceUs,
    IReadOnlyList<ulong> FaultLatencyBuckets,
    PrecopyJson? Precopy,
    MigrationLimitsJson? Limits,
    ulong ReleasedBytes,
    CompressionJson? Compression,
    QueryMigrateJson? QueryMigrate = null,
    DomJobInfoJson? DomJobInfo = null);

/// <summary>What packing pages has come to; null in a migration whose pages go over as they are, and on its destination.</summary>
internal sealed record CompressionJson(string Format, ulong PagesPacked, ulong BytesSaved);

/// <summary>Percentiles of the fault latency in --json; microseconds.</summary>
internal sealed record FaultLatencyJson(ulong Count, double P50, double P90, double P99, double P999, double Max);

/// <summary>The limits of a migration that are in force; null is no limit, or one that this migration does not have.</summary>
internal sealed record MigrationLimitsJson(ulong? Bandwidth, ulong? PostcopyBandwidth, uint? MaxRounds, uint? DowntimeLimitMs);

/// <summary>What went over before the switchover, in --json. Rates are those of the last round.</summary>
internal sealed record PrecopyJson(
    double TimeMs, uint Rounds, ulong PagesSent, ulong Bytes, ulong DirtyPages, double DirtyPagesPerSecond, double PagesPerSecond, string? Ended);

/// <summary>What a thread, or several, waited for missing pages, in --json.</summary>
internal sealed record ThreadWaitsJson(ulong Faults, double BlocktimeMs);
