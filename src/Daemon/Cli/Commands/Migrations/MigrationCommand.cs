using System.CommandLine;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>The group of commands about migrations.</summary>
internal sealed class MigrationCommand : CliCommand
{
    /// <summary>The group.</summary>
    public MigrationCommand(CliConsole console)
        : base("migration", "Look at the migrations that a daemon takes or took part in, cancel them, and decide what becomes of broken ones.")
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
        Subcommands.Add(new MigrationListCommand(console));
        Subcommands.Add(new MigrationShowCommand(console));
        Subcommands.Add(new MigrationWatchCommand(console));
        Subcommands.Add(new MigrationStartPostcopyCommand(console));
        Subcommands.Add(new MigrationSetCommand(console));
        Subcommands.Add(new MigrationCancelCommand(console));
        Subcommands.Add(new MigrationRecoverCommand(console));
        Subcommands.Add(new MigrationResolveCommand(console));
    }

    /// <summary>The argument that names a migration.</summary>
    public static Argument<string> IdArgument()
    {
        var id = new Argument<string>("ID") { Description = "The migration's id; 'migration list' shows it." };
        id.CompletionSources.Add(DaemonNames.Migrations);
        return id;
    }
}
