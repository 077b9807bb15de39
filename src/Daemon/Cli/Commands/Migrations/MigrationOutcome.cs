using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Migrations;

/// <summary>How a command ends that has waited for a migration.</summary>
internal static class MigrationOutcome
{
    /// <summary>Writes the migration in its final state.</summary>
    /// <returns><see cref="ExitCode.Ok"/> when it completed.</returns>
    /// <exception cref="CliException">It did not.</exception>
    public static int Write(CliConsole console, Migration migration, bool json)
    {
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
