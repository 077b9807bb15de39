using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>A migration under way as one view of a terminal: what has come, how fast, and what the guest feels of it.</summary>
internal static class MigrationLiveView
{
    private const int LabelWidth = 10;
    private const int NarrowestBar = 10;
    private const int WidestBar = 100;

    /// <summary>The view of one update.</summary>
    /// <param name="migration">The migration.</param>
    /// <param name="width">Columns of the terminal.</param>
    public static IRenderable Of(Migration migration, int width)
    {
        var figures = new TransferFigures(migration);
        var parts = RamBar.Of(migration);
        var rows = new List<IRenderable>
        {
            new Text($"guest {migration.Guest}  {(migration.Role == MigrationRole.Destination ? "from" : "to")} {migration.Peer}  "
                + $"({migration.Id})"),
            Row("phase", Phase(migration)),
        };
        if (migration.Reason.Length > 0)
        {
            rows.Add(Row("reason", new Text(migration.Reason)));
        }

        if (migration.Precopy is { } precopy && migration.State == MigrationState.PrecopyActive)
        {
            rows.Add(Row("precopy", new Text($"round {precopy.Rounds + 1}, {Numbers.Number(precopy.DirtyPages)} pages dirty, "
                + $"{Numbers.Whole(precopy.DirtyPagesPerSecond)} pages/s written")));
        }

        rows.Add(Row("RAM", RamBar.Draw(parts, Math.Clamp(width - LabelWidth - 2, NarrowestBar, WidestBar))));
        rows.Add(Row("", Legend(figures, parts)));
        rows.Add(Row("rate", new Text($"{Numbers.Megabits(figures.MegabitsPerSecond)}  "
            + $"{Numbers.Number((ulong)migration.PagesPerSecond)} pages/s  "
            + $"{Numbers.Bytes(migration.BytesSent)} sent  ETA {Numbers.Duration(figures.TimeRemaining)}")));
        rows.Add(Row("downtime", new Text(Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)
            + (migration.Recoveries > 0 ? $"  link restored {Numbers.Number(migration.Recoveries)} times" : ""))));
        rows.Add(Row("faults", new Text(Faults(figures))));
        rows.AddRange(LatencyChart.Lines(figures.FaultLatency.Buckets).Select(line => Row("", new Text(line))));
        return new Rows(rows);
    }

    private static Text Phase(Migration migration) => new(
        $"{Words.Of(migration.State)}  {Numbers.Seconds(migration.TotalUs / 1e6)}",
        new Style(migration.State switch
        {
            MigrationState.PostcopyPaused or MigrationState.PostcopyRecover => Color.Yellow,
            MigrationState.Failed or MigrationState.Cancelled => Color.Red,
            MigrationState.Completed => Color.Green,
            _ => Color.Default,
        }, decoration: Decoration.Bold));

    private static Paragraph Legend(TransferFigures figures, IReadOnlyList<RamBar.Part> parts)
    {
        var legend = new Paragraph($"{Numbers.Percent(figures.Fraction)} of {Numbers.Bytes(figures.TotalBytes)}");
        foreach (var part in parts.Where(part => part.Pages > 0))
        {
            legend.Append("  ");
            legend.Append(part.Glyph.ToString(), new Style(part.Colour));
            legend.Append($" {part.Name} {Numbers.Number(part.Pages)}");
        }

        return legend;
    }

    private static string Faults(TransferFigures figures)
    {
        var latency = figures.FaultLatency;
        return latency.Count == 0
            ? "none yet"
            : $"{Numbers.Number(latency.Count)}  p50 {Numbers.Microseconds(latency.P50)}  p99 {Numbers.Microseconds(latency.P99)}  "
                + $"max {Numbers.Microseconds(latency.Max)}";
    }

    private static IRenderable Row(string label, IRenderable value)
    {
        var row = new Grid();
        row.AddColumn(new GridColumn().Width(LabelWidth).PadLeft(0).PadRight(0).NoWrap());
        row.AddColumn(new GridColumn().PadLeft(0).PadRight(0));
        row.AddRow(new Text(label, new Style(decoration: Decoration.Dim)), value);
        return row;
    }
}
