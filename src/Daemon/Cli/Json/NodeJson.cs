namespace MigrationD.Daemon.Cli.Json;

/// <summary>A daemon in --json; one that is drained takes in no guests.</summary>
internal sealed record NodeJson(
    string Name, string Version, IReadOnlyList<uint> ProtocolVersions, string Listen, string Lanes, string? Web, int ProcessId,
    bool Drained);
