namespace MigrationD.Daemon.Cli.Json;

/// <summary>What went over before the switchover, in --json. Rates are those of the last round.</summary>
internal sealed record PrecopyJson(
    double TimeMs, uint Rounds, ulong PagesSent, ulong Bytes, ulong DirtyPages, double DirtyPagesPerSecond, double PagesPerSecond, string? Ended);
