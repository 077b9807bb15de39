using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Follows a migration to its end.</summary>
internal sealed class MigrationWatchCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    public MigrationWatchCommand(CliConsole console)
        : base("watch", "Follow a migration to its end; the exit code is 0 only when it completed.", console)
    {
        Notes =
        [
            "On a terminal it draws one view of what has come, how fast, and what the guest feels of it; elsewhere it prints a line now",
            "and then.",
            "With --json: one JSON object a line whenever it has changed and once a second otherwise, the final state last.",
            "While the link is lost (postcopy-paused) it goes on watching, and says so with the reason and what can be done.",
        ];
        Examples = ["migrationd migration watch ID", "migrationd migration watch ID --json"];
        Arguments.Add(_id);
    }

    protected override Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken) =>
        MigrationOutcome.FollowAsync(
            Terminal, client.WatchMigrationAsync(parse.GetRequiredValue(_id), cancellationToken), parse.GetValue(Json));
}
