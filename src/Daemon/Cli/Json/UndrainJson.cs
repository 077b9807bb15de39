namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>undrain --json</c>.</summary>
internal sealed record UndrainJson(string Node, bool Drained);
