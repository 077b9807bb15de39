namespace MigrationD.Daemon.Cli.Json;

/// <summary>What a guest counted itself, in --json.</summary>
internal sealed record GuestReportJson(ulong Steps, ulong Sweeps, ulong CorruptPages, double LargestGapMs);
