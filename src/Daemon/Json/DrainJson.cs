namespace MigrationD.Daemon.Json;

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

/// <summary>A peer in <c>drain --json</c>; with a problem it could have no guests.</summary>
internal sealed record DrainPeerJson(string Address, string? Name, ulong FreeBytes, string? Problem);

/// <summary>The last line of <c>drain --json</c>. The verdict is <c>drained</c>, or <c>stayed</c> when a guest is still there.</summary>
internal sealed record DrainSummaryJson(
    string Verdict,
    double TotalMs,
    ulong MovedBytes,
    IReadOnlyList<DrainGuestJson> Moved,
    IReadOnlyList<DrainGuestJson> Stayed,
    IReadOnlyList<DrainGuestJson> Gone,
    IReadOnlyList<DrainPeerJson> Peers);

/// <summary>The answer of <c>undrain --json</c>.</summary>
internal sealed record UndrainJson(string Node, bool Drained);
