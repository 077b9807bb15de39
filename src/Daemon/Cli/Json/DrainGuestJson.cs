namespace MigrationD.Daemon.Cli.Json;

/// <summary>
/// A guest in the stream of <c>drain --json</c>. Sizes in bytes, times in milliseconds; what a migration counts is absent without one.
/// </summary>
internal sealed record DrainGuestJson(
    string Guest,
    ulong MemoryBytes,
    string State,
    string? Reason,
    string? Peer,
    string? MigrationId,
    string? MigrationState,
    ulong? PagesTotal,
    ulong? PagesReceived,
    ulong? BytesSent,
    double? BytesPerSecond,
    double? DowntimeMs,
    double? TotalMs);
