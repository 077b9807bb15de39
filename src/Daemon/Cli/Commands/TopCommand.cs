using System.CommandLine;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Commands;

/// <summary>Shows a daemon with its guests and migrations, and on a terminal goes on showing them.</summary>
internal sealed class TopCommand : ClientCommand
{
    private static readonly TimeSpan RefreshInterval = TimeSpan.FromSeconds(1);

    public TopCommand(CliConsole console)
        : base("top", "Show the daemon with its guests and migrations in one view, refreshed on a terminal.", console)
    {
        Notes =
        [
            "On a terminal the view is drawn anew every second, until Ctrl-C. Elsewhere it is printed once, and so is the JSON object of",
            "--json.",
        ];
        Examples = ["migrationd top", "migrationd top --json"];
    }

    protected override async Task<int> RunAsync(ParseResult parse, ControlClient client, CancellationToken cancellationToken)
    {
        if (parse.GetValue(Json))
        {
            CliJson.WriteLine(Terminal.Out, JsonShapes.Of(await LookAsync(client, cancellationToken)));
        }
        else if (Terminal.CanRedraw)
        {
            await RefreshAsync(Terminal.Ansi, () => LookAsync(client, cancellationToken), RefreshInterval, cancellationToken);
        }
        else
        {
            Terminal.Ansi.Write(TopView.Of(await LookAsync(client, cancellationToken), before: null));
        }

        return ExitCode.Ok;
    }

    /// <summary>Draws the view anew until that is cancelled, which is how it is meant to end.</summary>
    internal static Task RefreshAsync(
        IAnsiConsole console, Func<Task<NodeSnapshot>> look, TimeSpan interval, CancellationToken cancellationToken) =>
        console.Live(new Text("")).Overflow(VerticalOverflow.Crop).StartAsync(async live =>
        {
            try
            {
                NodeSnapshot? before = null;
                while (true)
                {
                    var now = await look();
                    live.UpdateTarget(TopView.Of(now, before));
                    before = now;
                    await Task.Delay(interval, cancellationToken);
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
            }
        });

    private static async Task<NodeSnapshot> LookAsync(ControlClient client, CancellationToken cancellationToken)
    {
        var node = client.GetNodeAsync(cancellationToken);
        var guests = client.ListGuestsAsync(cancellationToken);
        var migrations = client.ListMigrationsAsync(cancellationToken);
        return new(await node, await guests, await migrations, DateTimeOffset.UtcNow);
    }
}
