using System.CommandLine;

namespace MigrationD.Daemon.Cli;

/// <summary>Restores the link of a paused migration.</summary>
internal sealed class MigrationRecoverCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    private readonly Option<string> _to = new("--to")
    {
        Description = "The destination's control address, when it is another one now.",
        HelpName = "HOST:PORT",
    };

    /// <summary>The command.</summary>
    public MigrationRecoverCommand(CliConsole console)
        : base("recover", "Dial the destination of a postcopy-paused migration again, now, and follow the migration to its end.", console)
    {
        Notes =
        [
            "Said to the daemon of the source, which dials by itself for as long as its --recovery-timeout says. Only the pages that the",
            "destination lacks are sent. The exit code is 0 only when the migration completed.",
        ];
        Examples = ["migrationd migration recover ID", "migrationd migration recover ID --to 10.0.0.7:7461"];
        Arguments.Add(_id);
        Options.Add(_to);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var id = parse.GetRequiredValue(_id);
        await client.RecoverMigrationAsync(id, parse.GetValue(_to) ?? "", cancellation);
        var json = parse.GetValue(Json);
        var updates = client.WatchMigrationAsync(id, cancellation);
        return MigrationOutcome.Write(
            Terminal, json ? await MigrationProgress.WaitAsync(updates) : await MigrationProgress.ShowAsync(Terminal, updates), json);
    }
}
