using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>How a command waits for a migration, and ends.</summary>
internal static class MigrationOutcome
{
    /// <summary>Shows the progress of a migration, and the migration in its final state.</summary>
    /// <exception cref="CliException">It did not complete.</exception>
    public static async Task<int> FollowAsync(CliConsole console, IAsyncEnumerable<Migration> updates, bool json)
    {
        var migration = await (json ? MigrationProgress.StreamAsync(console, updates) : MigrationProgress.ShowAsync(console, updates));
        if (json)
        {
            CliJson.WriteLine(console.Out, JsonShapes.Of(migration));
        }
        else
        {
            MigrationView.Write(console.Ansi, migration);
        }

        var state = Words.Of(migration.State);
        return migration.State == MigrationState.Completed ? ExitCode.Ok : throw new CliException(ExitCode.Failed, $"migration-{state}",
            $"migration {migration.Id} of guest {migration.Guest} "
            + $"{(migration.Role == MigrationRole.Destination ? "from" : "to")} {migration.Peer} {state}: "
            + (migration.Reason.Length > 0 ? migration.Reason : "the daemon gives no reason; look at its log"));
    }
}
