using System.Text.Json.Serialization;

namespace MigrationD.Daemon.Json;

/// <summary>
/// A migration as QEMU's <c>query-migrate</c> answers (MigrationInfo of qapi/migration.json): its names, its units, and no field that has
/// no meaning here. Times in milliseconds, latencies in nanoseconds, sizes in bytes.
/// </summary>
internal sealed record QueryMigrateJson(
    [property: JsonPropertyName("status")] string Status,
    [property: JsonPropertyName("ram")] QueryMigrateJson.Statistics Ram,
    [property: JsonPropertyName("total-time")] ulong TotalTime,
    [property: JsonPropertyName("setup-time")] ulong? SetupTime,
    [property: JsonPropertyName("downtime")] ulong? Downtime,
    [property: JsonPropertyName("error-desc")] string? ErrorDescription,
    [property: JsonPropertyName("postcopy-blocktime")] ulong PostcopyBlocktime,
    [property: JsonPropertyName("postcopy-vcpu-blocktime")] IReadOnlyList<ulong>? PostcopyVcpuBlocktime,
    [property: JsonPropertyName("postcopy-latency")] ulong? PostcopyLatency,
    [property: JsonPropertyName("postcopy-latency-dist")] IReadOnlyList<ulong> PostcopyLatencyDistribution,
    [property: JsonPropertyName("postcopy-vcpu-latency")] IReadOnlyList<ulong>? PostcopyVcpuLatency,
    [property: JsonPropertyName("postcopy-non-vcpu-latency")] ulong? PostcopyNonVcpuLatency,
    [property: JsonPropertyName("cpu-throttle-percentage")] uint? CpuThrottlePercentage)
{
    /// <summary>QEMU's MigrationStats.</summary>
    internal sealed record Statistics(
        [property: JsonPropertyName("transferred")] ulong Transferred,
        [property: JsonPropertyName("remaining")] ulong Remaining,
        [property: JsonPropertyName("total")] ulong Total,
        [property: JsonPropertyName("duplicate")] ulong Duplicate,
        [property: JsonPropertyName("normal")] ulong Normal,
        [property: JsonPropertyName("normal-bytes")] ulong NormalBytes,
        [property: JsonPropertyName("mbps")] double Mbps,
        [property: JsonPropertyName("pages-per-second")] ulong PagesPerSecond,
        [property: JsonPropertyName("page-size")] ulong PageSize,
        [property: JsonPropertyName("dirty-sync-count")] ulong DirtySyncCount,
        [property: JsonPropertyName("dirty-pages-rate")] ulong DirtyPagesRate,
        [property: JsonPropertyName("postcopy-requests")] ulong PostcopyRequests,
        [property: JsonPropertyName("precopy-bytes")] ulong PrecopyBytes,
        [property: JsonPropertyName("downtime-bytes")] ulong? DowntimeBytes,
        [property: JsonPropertyName("postcopy-bytes")] ulong? PostcopyBytes);
}
