using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Lists a daemon's migrations.</summary>
internal sealed class MigrationListCommand : ClientCommand
{
    /// <summary>The command.</summary>
    public MigrationListCommand(CliConsole console)
        : base("list", "List the daemon's migrations.", console)
    {
        Examples = ["migrationd migration list", "migrationd migration list --json"];
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var migrations = await client.ListMigrationsAsync(cancellation);
        return ShowList(
            parse, migrations, JsonShapes.Of, "no migrations; start one with 'migrationd migrate NAME --to HOST:PORT'",
            MigrationView.WriteList);
    }
}
