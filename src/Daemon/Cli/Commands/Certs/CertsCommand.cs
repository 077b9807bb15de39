using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Help;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands.Certs;

/// <summary>Groups the commands that make certificates.</summary>
internal sealed class CertsCommand : CliCommand
{
    /// <summary>The folder of the authority when nobody says otherwise.</summary>
    public const string DefaultFolder = "/etc/migrationd/ca";

    public CertsCommand(CliConsole console)
        : base("certs", "Make the certificates by which daemons know each other.")
    {
        Examples =
        [
            "migrationd certs init",
            "migrationd certs issue alpha --host 10.0.0.5 --out ./alpha",
        ];
        Subcommands.Add(new CertsInitCommand(console));
        Subcommands.Add(new CertsIssueCommand(console));
    }

    public static Option<string> FolderOption() => new("--dir")
    {
        Description = "Folder of the authority: ca-cert.pem and ca-key.pem.",
        HelpName = "DIR",
        DefaultValueFactory = _ => DefaultFolder,
    };

    public static Option<int> DaysOption(int defaultDays) => new("--days")
    {
        Description = "How long it is valid, in days.",
        HelpName = "N",
        DefaultValueFactory = _ => defaultDays,
    };

    /// <summary>Runs what writes files. What is wrong with them is the user's to mend.</summary>
    public static int Writing(Action write, int days)
    {
        if (days is < 1 or > 36500)
        {
            throw new CliException(ExitCode.Usage, "usage", $"--days {days}: give a number from 1 to 36500");
        }

        try
        {
            write();
            return ExitCode.Ok;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Failed, "failed", $"cannot {error.Message}");
        }
    }
}
