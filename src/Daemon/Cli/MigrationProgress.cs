using System.Globalization;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli;

/// <summary>Follows the updates of one migration: a live bar on a terminal, plain lines anywhere else.</summary>
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
        console.IsTerminal ? ShowBarAsync(console.Ansi, updates) : ShowLinesAsync(console.Out, updates);

    private static Task<Migration> ShowBarAsync(IAnsiConsole console, IAsyncEnumerable<Migration> updates) =>
        console.Progress()
            .AutoClear(true)
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new TaskDescriptionColumn { Alignment = Justify.Left })
            .StartAsync(async progress =>
            {
                var bar = progress.AddTask("setup");
                var last = new Migration();
                await foreach (var migration in updates)
                {
                    if (Interruption(migration, last) is { } interruption)
                    {
                        // Above the bar, and once: a reason is longer than the line of a terminal.
                        console.WriteLine(interruption);
                    }

                    last = migration;
                    bar.Value = Percent(migration);
                    bar.Description = Markup.Escape(Line(migration));
                    progress.Refresh();
                }

                return last;
            });

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

    private static double Percent(Migration migration) =>
        migration.PagesTotal == 0 ? 0 : 100.0 * migration.PagesReceived / migration.PagesTotal;

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
