using System.Globalization;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Follows the updates of one migration: a live view on a terminal, plain lines anywhere else, or JSON.</summary>
internal static class MigrationProgress
{
    /// <summary>Plain lines are written at each change of state and whenever this much more of the pages has come.</summary>
    private const double PlainStepPercent = 10;

    /// <summary>Waits in silence.</summary>
    /// <returns>The migration in its last state.</returns>
    public static async Task<Migration> WaitAsync(IAsyncEnumerable<Migration> updates)
    {
        var last = new Migration();
        await foreach (var migration in updates)
        {
            last = migration;
        }

        return last;
    }

    /// <summary>Shows the progress.</summary>
    /// <returns>The migration in its last state.</returns>
    public static Task<Migration> ShowAsync(CliConsole console, IAsyncEnumerable<Migration> updates) =>
        console.CanRedraw ? ShowLiveAsync(console.Ansi, updates) : ShowLinesAsync(console.Out, updates);

    /// <summary>Prints each update as one line of JSON; not the final state, which is the outcome's to print.</summary>
    /// <returns>The migration in its last state.</returns>
    public static async Task<Migration> StreamAsync(CliConsole console, IAsyncEnumerable<Migration> updates)
    {
        // The client throws when the stream ends without a final state.
        var last = new Migration();
        await foreach (var migration in updates)
        {
            last = migration;
            if (!MigrationRecord.IsFinalState(last.State))
            {
                CliJson.WriteLine(console.Out, JsonShapes.Of(last));
                console.Out.Flush();
            }
        }

        return last;
    }

    /// <summary>Draws one view and draws it anew at each update; it is gone at the end.</summary>
    /// <returns>The migration in its last state.</returns>
    internal static async Task<Migration> ShowLiveAsync(IAnsiConsole console, IAsyncEnumerable<Migration> updates)
    {
        var last = new Migration();
        await console.Live(new Text("")).AutoClear(true).Overflow(VerticalOverflow.Crop).StartAsync(async live =>
        {
            await foreach (var migration in updates)
            {
                last = migration;
                live.UpdateTarget(MigrationLiveView.Of(migration, console.Profile.Width));
            }
        });
        return last;
    }

    private static async Task<Migration> ShowLinesAsync(TextWriter output, IAsyncEnumerable<Migration> updates)
    {
        var last = new Migration();
        var shown = 0.0;
        await foreach (var migration in updates)
        {
            if (migration.State != last.State || Percent(migration) - shown >= PlainStepPercent)
            {
                shown = Percent(migration);
                output.WriteLine(Line(migration));
            }

            if (Interruption(migration, last) is { } interruption)
            {
                output.WriteLine(interruption);
            }

            output.Flush();

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
        string.Create(CultureInfo.InvariantCulture,
            $"{Words.Of(migration.State)}  {migration.PagesReceived:N0} of {migration.PagesTotal:N0} pages  ")
        + string.Create(CultureInfo.InvariantCulture,
            $"{migration.Placement?.PagesUrgent ?? 0:N0} by fault  {migration.TotalUs / 1e6:0.0} s");
}
