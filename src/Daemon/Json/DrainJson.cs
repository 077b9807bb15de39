using System.Text.Json.Nodes;

namespace MigrationD.Daemon.Json;

/// <summary>A peer in <c>drain --json</c>; with a problem it could have no guests.</summary>
internal sealed record DrainPeerJson(string Address, string? Name, ulong FreeBytes, string? Problem);

/// <summary>The last line of <c>drain --json</c>. The verdict is <c>drained</c>, or <c>stayed</c> when a guest is still there.</summary>
internal sealed record DrainSummaryJson(
    string Verdict,
    double TotalMs,
    ulong MovedBytes,
    IReadOnlyList<JsonObject> Moved,
    IReadOnlyList<JsonObject> Stayed,
    IReadOnlyList<JsonObject> Gone,
    IReadOnlyList<DrainPeerJson> Peers);

/// <summary>The answer of <c>undrain --json</c>.</summary>
internal sealed record UndrainJson(string Node, bool Drained);
