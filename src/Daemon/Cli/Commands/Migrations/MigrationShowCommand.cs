using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Shows one migration.</summary>
internal sealed class MigrationShowCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    /// <summary>The command.</summary>
    public MigrationShowCommand(CliConsole console)
        : base("show", "Show a migration as it is now: times, pages by path, fault latency.", console)
    {
        Notes =
        [
            "Fields that QEMU's query-migrate has bear its names. With --json: also the whole in the words of query-migrate (queryMigrate)",
            "and of libvirt's domjobinfo (domJobInfo). What this side of the migration does not know is '-', and absent with --json.",
        ];
        Examples = ["migrationd migration show ID", "migrationd migration show ID --json"];
        Arguments.Add(_id);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var migration = await client.GetMigrationAsync(parse.GetRequiredValue(_id), cancellation);
        return Show(parse, JsonShapes.Detailed(migration), () => MigrationView.Write(Terminal.Ansi, migration));
    }
}
