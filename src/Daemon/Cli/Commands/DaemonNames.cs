using System.CommandLine.Completions;
using MigrationD.Daemon.Cli.Client;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Names that only the daemon knows, for completing a command line. A daemon that does not answer soon has none.</summary>
internal static class DaemonNames
{
    // Long for a key that was pressed, and only a daemon that hangs, or a host that is very busy, takes it.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>The guests of the daemon that the command line is for.</summary>
    public static IEnumerable<string> Guests(CompletionContext context) => Ask(context, async (client, cancellationToken) =>
        (await client.ListGuestsAsync(cancellationToken)).Select(guest => guest.Spec.Name));

    public static IEnumerable<string> Migrations(CompletionContext context) => Ask(context, async (client, cancellationToken) =>
        (await client.ListMigrationsAsync(cancellationToken)).Select(migration => migration.Id));

    private static string[] Ask(CompletionContext context, Func<ControlClient, CancellationToken, Task<IEnumerable<string>>> ask)
    {
        // Asked for without a command line, as the help text does, there is no daemon to ask.
        if (context.ParseResult.CommandResult.Command is not ClientCommand command)
        {
            return [];
        }

        try
        {
            using var deadline = new CancellationTokenSource(Patience);
            using var client = new ControlClient(command.SocketPath(context.ParseResult));
            return [.. ask(client, deadline.Token).GetAwaiter().GetResult()];
        }
        catch (Exception error) when (error is CliException or OperationCanceledException)
        {
            // Whoever presses a key to complete a word wants no error message in the middle of it.
            return [];
        }
    }
}
