namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>top --json</c>: a daemon with all that is on it.</summary>
internal sealed record TopJson(NodeJson Node, IReadOnlyList<GuestJson> Guests, IReadOnlyList<MigrationJson> Migrations);
