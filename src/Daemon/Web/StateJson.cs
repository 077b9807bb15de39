using MigrationD.Daemon.Cli.Json;

namespace MigrationD.Daemon.Web;

/// <summary>
/// The answer of <c>/api/state</c>: the node, its guests and its migrations, each as the commands print it with --json. Migrations newest
/// first: all that are under way and the last that have ended; <paramref name="MigrationsKnown"/> counts the others too.
/// </summary>
internal sealed record StateJson(
    DateTimeOffset At, NodeJson Node, IReadOnlyList<GuestJson> Guests, IReadOnlyList<MigrationJson> Migrations, int MigrationsKnown);
