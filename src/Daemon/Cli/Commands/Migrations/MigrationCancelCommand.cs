using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>Stops a migration before its switchover.</summary>
internal sealed class MigrationCancelCommand : MigrationOrder
{
    public MigrationCancelCommand(CliConsole console)
        : base("cancel", "Stop a migration before its switchover, on its source: the guest stays here. Refused afterwards.", console)
    {
        Examples = ["migrationd migration cancel ID"];
    }

    protected override Task<Migration> OrderAsync(
        ParseResult parse, ControlClient client, string id, CancellationToken cancellationToken) =>
        client.CancelMigrationAsync(id, cancellationToken);

    protected override string? Outcome(ParseResult parse, Migration migration) => migration.State == MigrationState.Cancelled
        ? $"migration {migration.Id} cancelled; guest {migration.Guest} stays on this host"
        : null;
}
