namespace MigrationD.Daemon.Cli.Json;

/// <summary>A peer in <c>drain --json</c>; with a problem it could have no guests.</summary>
internal sealed record DrainPeerJson(string Address, string? Name, ulong FreeBytes, string? Problem);
