namespace MigrationD.Daemon.Cli.Json;

/// <summary>The limits of a migration that are in force; null is no limit, or one that this migration does not have.</summary>
internal sealed record MigrationLimitsJson(ulong? Bandwidth, ulong? PostcopyBandwidth, uint? MaxRounds, uint? DowntimeLimitMs);
