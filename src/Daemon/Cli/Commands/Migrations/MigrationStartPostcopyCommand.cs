using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Ends precopy: the guest switches over now.</summary>
internal sealed class MigrationStartPostcopyCommand : MigrationOrder
{
    public MigrationStartPostcopyCommand(CliConsole console)
        : base("start-postcopy", "End the precopy of a hybrid migration, on its source: the guest switches over now.", console)
    {
        Notes = ["Waits until the guest runs at the destination. What has not come by then follows."];
        Examples = ["migrationd migration start-postcopy ID"];
    }

    protected override Task<Migration> OrderAsync(
        ParseResult parse, ControlClient client, string id, CancellationToken cancellationToken) =>
        client.StartPostcopyAsync(id, cancellationToken);

    protected override bool IsDecided(Migration ordered, Migration now) =>
        MigrationRecord.IsFinalState(now.State) || now.State is MigrationState.PostcopyActive or MigrationState.PostcopyPaused;

    protected override string? Outcome(ParseResult parse, Migration migration) => migration.HasDowntimeBytes
        ? $"guest {migration.Guest} runs at {migration.Peer}"
        : null;
}
