using System.CommandLine;
using MigrationD.Daemon.Cli.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli;

/// <summary>Follows a migration to its end.</summary>
internal sealed class MigrationWatchCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    /// <summary>The command.</summary>
    public MigrationWatchCommand(CliConsole console)
        : base("watch", "Follow a migration to its end; the exit code is 0 only when it completed.", console)
    {
        Notes =
        [
            "With --json: one JSON object a line whenever it has changed and once a second otherwise, the final state last.",
            "While the link is lost (postcopy-paused) it goes on watching, and says so once with the reason and what can be done.",
        ];
        Examples = ["migrationd migration watch ID", "migrationd migration watch ID --json"];
        Arguments.Add(_id);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var updates = client.WatchMigrationAsync(parse.GetRequiredValue(_id), cancellation);
        if (!parse.GetValue(Json))
        {
            return MigrationOutcome.Write(Terminal, await MigrationProgress.ShowAsync(Terminal, updates), json: false);
        }

        // The final state is printed once, with the outcome; the client throws when the stream ends without one.
        var last = new Migration();
        await foreach (var migration in updates)
        {
            last = migration;
            if (!Words.IsFinal(last.State))
            {
                CliJson.WriteLine(Terminal.Out, JsonShapes.Of(last));
            }
        }

        return MigrationOutcome.Write(Terminal, last, json: true);
    }
}
