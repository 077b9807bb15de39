using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>Lists a daemon's guests.</summary>
internal sealed class GuestListCommand : ClientCommand
{
    /// <summary>The command.</summary>
    public GuestListCommand(CliConsole console)
        : base("list", "List the daemon's guests, those that have moved to another host included.", console)
    {
        Examples = ["migrationd guest list", "migrationd guest list --json"];
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var guests = await client.ListGuestsAsync(cancellation);
        return ShowList(
            parse, guests, JsonShapes.Of, "no guests; create one with 'migrationd guest create NAME'", GuestView.WriteList);
    }
}
