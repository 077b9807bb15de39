namespace MigrationD.Daemon.Cli.Json;

/// <summary>Percentiles of the fault latency in --json; microseconds.</summary>
internal sealed record FaultLatencyJson(ulong Count, double P50, double P90, double P99, double P999, double Max);
