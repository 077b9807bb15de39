namespace MigrationD.Daemon.Cli.Json;

/// <summary>The last line of <c>drain --json</c>. The verdict is <c>drained</c>, or <c>stayed</c> when a guest is still there.</summary>
internal sealed record DrainSummaryJson(
    string Verdict,
    double TotalMs,
    ulong MovedBytes,
    IReadOnlyList<DrainGuestJson> Moved,
    IReadOnlyList<DrainGuestJson> Stayed,
    IReadOnlyList<DrainGuestJson> Gone,
    IReadOnlyList<DrainPeerJson> Peers);
