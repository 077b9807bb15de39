namespace MigrationD.Daemon.Cli.Json;

/// <summary>A daemon in --json.</summary>
internal sealed record NodeJson(
    string Name, string Version, IReadOnlyList<uint> ProtocolVersions, string Listen, string Lanes, int ProcessId);
