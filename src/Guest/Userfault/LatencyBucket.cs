namespace MigrationD.Guest.Userfault;

/// <summary>Latencies below <paramref name="BelowMicroseconds"/> and not below half of it (the first bucket: not below 0).</summary>
/// <param name="BelowMicroseconds">A power of two.</param>
/// <param name="Count">How many there were.</param>
public readonly record struct LatencyBucket(long BelowMicroseconds, long Count);
