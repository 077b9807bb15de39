namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>guest hash --json</c>.</summary>
internal sealed record GuestHashJson(string Name, string Sha256);
