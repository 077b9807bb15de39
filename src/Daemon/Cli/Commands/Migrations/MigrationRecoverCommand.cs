using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Options;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Restores the link of a migration that is postcopy-paused.</summary>
internal sealed class MigrationRecoverCommand : MigrationOrder
{
    private readonly Option<string?> _to = new("--to")
    {
        Description = "Where the destination daemon is now, if its control address has changed.",
        HelpName = "HOST:PORT",
    };

    public MigrationRecoverCommand(CliConsole console)
        : base("recover", "Dial the destination of a postcopy-paused migration again, on its source.", console)
    {
        Notes =
        [
            "A lost link is dialled by itself for --recovery-timeout; this dials at once, and again after that time is over.",
            "Waits until the link is restored, or could not be: the exit code is 0 only when pages travel again or all are there.",
        ];
        Examples = ["migrationd migration recover ID", "migrationd migration recover ID --to 10.0.1.6:7461"];
        _to.Validators.Add(PeerAddress.Check);
        Options.Add(_to);
    }

    protected override Task<Migration> OrderAsync(
        ParseResult parse, ControlClient client, string id, CancellationToken cancellationToken) =>
        client.RecoverMigrationAsync(id, parse.GetValue(_to) ?? "", cancellationToken);

    protected override bool IsDecided(Migration ordered, Migration now) =>
        now.State != MigrationState.PostcopyPaused || now.Reason != ordered.Reason;

    protected override string? Outcome(ParseResult parse, Migration migration) => migration.State switch
    {
        MigrationState.PostcopyActive => $"migration {migration.Id} goes on; follow it with 'migrationd migration watch {migration.Id}'",
        MigrationState.Completed => $"migration {migration.Id} completed",
        _ => null,
    };
}
