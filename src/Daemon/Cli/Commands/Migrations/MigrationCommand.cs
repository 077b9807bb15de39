using System.CommandLine;
using System.Text.Json.Nodes;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>The group of commands about migrations.</summary>
internal sealed class MigrationCommand : CliCommand
{
    public MigrationCommand(CliConsole console)
        : base(
            "migration",
            "Look at the migrations that a daemon takes or took part in, cancel them, and decide what becomes of broken ones.")
    {
        Examples =
        [
            "migrationd migration list",
            "migrationd migration show ID --json",
            "migrationd migration watch ID",
            "migrationd migration start-postcopy ID",
            "migrationd migration set ID --bandwidth 200MiB/s",
            "migrationd migration cancel ID",
            "migrationd migration recover ID",
            "migrationd migration resolve ID --resume-here",
        ];
        Subcommands.Add(new ListCommand<Migration, JsonObject>(
            "List the daemon's migrations.", console, (client, cancellationToken) => client.ListMigrationsAsync(cancellationToken),
            JsonShapes.Of, "no migrations; start one with 'migrationd migrate NAME --to HOST:PORT'", MigrationView.WriteList)
        {
            Examples = ["migrationd migration list", "migrationd migration list --json"],
        });
        Subcommands.Add(new SubjectCommand<Migration, JsonObject>(
            "show", "Show a migration as it is now: times, pages by path, fault latency.", console, IdArgument(),
            (client, id, cancellationToken) => client.GetMigrationAsync(id, cancellationToken),
            (_, migration) => JsonShapes.Detailed(migration), (terminal, _, migration) => MigrationView.Write(terminal.Ansi, migration))
        {
            Notes =
            [
                "Fields that QEMU's query-migrate has bear its names. With --json: also the whole in the words of query-migrate "
                    + "(queryMigrate)",
                "and of libvirt's domjobinfo (domJobInfo). What this side of the migration does not know is '-', and absent with --json.",
            ],
            Examples = ["migrationd migration show ID", "migrationd migration show ID --json"],
        });
        Subcommands.Add(new MigrationWatchCommand(console));
        Subcommands.Add(new MigrationStartPostcopyCommand(console));
        Subcommands.Add(new MigrationSetCommand(console));
        Subcommands.Add(new MigrationCancelCommand(console));
        Subcommands.Add(new MigrationRecoverCommand(console));
        Subcommands.Add(new MigrationResolveCommand(console));
    }

    public static Argument<string> IdArgument()
    {
        var id = new Argument<string>("ID") { Description = "The migration's id; 'migration list' shows it." };
        id.CompletionSources.Add(DaemonNames.Migrations);
        return id;
    }
}
