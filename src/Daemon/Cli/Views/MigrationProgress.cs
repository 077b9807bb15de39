using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Follows the updates of one migration: a live view on a terminal, plain lines anywhere else, or JSON.</summary>
internal static class MigrationProgress
{
    /// <summary>Plain lines are written at each change of state and whenever this much more of the pages has come.</summary>
    private const double PlainStepPercent = 10;

    /// <summary>Shows the progress.</summary>
    public static Task<Migration> ShowAsync(CliConsole console, IAsyncEnumerable<Migration> updates) =>
        console.CanRedraw ? ShowLiveAsync(console.Ansi, updates) : ShowLinesAsync(console.Out, updates);

    /// <summary>Prints each update as one line of JSON; not the final state, which is the outcome's to print.</summary>
    public static Task<Migration> StreamAsync(CliConsole console, IAsyncEnumerable<Migration> updates) => ShowEachAsync(updates, (now, _) =>
    {
        if (!MigrationRecord.IsFinalState(now.State))
        {
            CliJson.WriteLine(console.Out, JsonShapes.Of(now));
            console.Out.Flush();
        }
    });

    /// <summary>Draws one view and draws it anew at each update; it is gone at the end.</summary>
    internal static Task<Migration> ShowLiveAsync(IAnsiConsole console, IAsyncEnumerable<Migration> updates) =>
        console.Live(new Text("")).AutoClear(true).Overflow(VerticalOverflow.Crop).StartAsync(live =>
            ShowEachAsync(updates, (now, _) => live.UpdateTarget(MigrationLiveView.Of(now, console.Profile.Width))));

    private static Task<Migration> ShowLinesAsync(TextWriter output, IAsyncEnumerable<Migration> updates)
    {
        var shown = 0.0;
        return ShowEachAsync(updates, (now, last) =>
        {
            if (now.State != last.State || Percent(now) - shown >= PlainStepPercent)
            {
                shown = Percent(now);
                output.WriteLine(Line(now));
            }

            if (Interruption(now, last) is { } interruption)
            {
                output.WriteLine(interruption);
            }

            output.Flush();
        });
    }

    /// <summary>Shows each update, with the one before it. The client throws when the stream ends without a final state.</summary>
    private static async Task<Migration> ShowEachAsync(IAsyncEnumerable<Migration> updates, Action<Migration, Migration> show)
    {
        var last = new Migration();
        await foreach (var migration in updates)
        {
            show(migration, last);
            last = migration;
        }

        return last;
    }

    private static double Percent(Migration migration) => 100 * new TransferFigures(migration).Fraction;

    /// <summary>Why the migration stands still, when that is new; null otherwise.</summary>
    private static string? Interruption(Migration migration, Migration last) =>
        migration.State is MigrationState.PostcopyPaused or MigrationState.PostcopyRecover
        && migration.Reason.Length > 0
        && migration.Reason != last.Reason
            ? $"{Words.Of(migration.State)}: {migration.Reason}"
            : null;

    /// <summary>One line: state, pages, pages by fault, time.</summary>
    private static string Line(Migration migration) =>
        $"{Words.Of(migration.State)}  {Numbers.Number(migration.PagesReceived)} of {Numbers.Number(migration.PagesTotal)} pages  "
        + $"{Numbers.Number(migration.Placement?.PagesUrgent ?? 0)} by fault  {Numbers.Seconds(migration.TotalUs / 1e6)}";
}
