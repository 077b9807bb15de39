namespace MigrationD.Guest.Userfault;

/// <summary>Latencies recorded so far, in microseconds. Percentiles are within 1.6 % of the recorded values.</summary>
/// <param name="Count">How many.</param>
/// <param name="P50">The median; 0 when there are none.</param>
/// <param name="P90">The 90th percentile.</param>
/// <param name="P99">The 99th percentile.</param>
/// <param name="P999">The 99.9th percentile.</param>
/// <param name="Max">The largest, exact.</param>
/// <param name="Buckets">How they are spread, from the first power of two to the last that is not empty.</param>
public sealed record LatencySnapshot(
    long Count,
    double P50,
    double P90,
    double P99,
    double P999,
    double Max,
    IReadOnlyList<LatencyBucket> Buckets);

/// <summary>Latencies below <paramref name="BelowMicroseconds"/> and not below half of it (the first bucket: not below 0).</summary>
/// <param name="BelowMicroseconds">A power of two.</param>
/// <param name="Count">How many there were.</param>
public readonly record struct LatencyBucket(long BelowMicroseconds, long Count);
