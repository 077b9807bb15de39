using System.CommandLine;
using MigrationD.Daemon.Cli.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli;

/// <summary>Stops a migration before its switchover.</summary>
internal sealed class MigrationCancelCommand : ClientCommand
{
    private readonly Argument<string> _id = MigrationCommand.IdArgument();

    /// <summary>The command.</summary>
    public MigrationCancelCommand(CliConsole console)
        : base("cancel", "Stop a migration before the guest runs on the destination; the guest goes on here.", console)
    {
        Notes = ["Said to the daemon of the source. Refused once the guest has been given away: only one side may ever run it."];
        Examples = ["migrationd migration cancel ID"];
        Arguments.Add(_id);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellation)
    {
        var id = parse.GetRequiredValue(_id);
        await client.CancelMigrationAsync(id, cancellation);
        var migration = await MigrationProgress.WaitAsync(client.WatchMigrationAsync(id, cancellation));
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(migration));
        }
        else
        {
            Terminal.Out.WriteLine($"migration {id} is {Words.Of(migration.State)}; guest {migration.Guest} stays here");
        }

        return migration.State == MigrationState.Cancelled ? ExitCode.Ok : ExitCode.Failed;
    }
}
