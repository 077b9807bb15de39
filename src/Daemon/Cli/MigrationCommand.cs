using System.CommandLine;

namespace MigrationD.Daemon.Cli;

/// <summary>The group of commands about migrations.</summary>
internal sealed class MigrationCommand : CliCommand
{
    /// <summary>The group.</summary>
    public MigrationCommand(CliConsole console)
        : base("migration", "Look at the migrations that a daemon takes or took part in, as source or destination.")
    {
        Examples =
        [
            "migrationd migration list",
            "migrationd migration show ID --json",
            "migrationd migration watch ID",
        ];
        Subcommands.Add(new MigrationListCommand(console));
        Subcommands.Add(new MigrationShowCommand(console));
        Subcommands.Add(new MigrationWatchCommand(console));
    }

    /// <summary>The argument that names a migration.</summary>
    public static Argument<string> IdArgument() => new("ID") { Description = "The migration's id; 'migration list' shows it." };
}
