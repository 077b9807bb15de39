namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>guest delete --json</c>.</summary>
internal sealed record GuestDeletedJson(string Name, bool Deleted);
