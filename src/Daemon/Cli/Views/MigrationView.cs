using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Migrations for people.</summary>
internal static class MigrationView
{
    /// <summary>One line a migration.</summary>
    public static void WriteList(IAnsiConsole console, IReadOnlyList<Migration> migrations) => console.Write(List(migrations));

    /// <summary>A table with one line a migration.</summary>
    public static IRenderable List(IReadOnlyList<Migration> migrations)
    {
        var table = PlainTable.Of("ID", "GUEST", "ROLE", "PEER", "STATE", "PAGES", "TOTAL", "DOWNTIME");
        foreach (var migration in migrations)
        {
            table.AddRow(
                new Text(migration.Id),
                new Text(migration.Guest),
                new Text(Words.Of(migration.Role)),
                new Text(migration.Peer),
                new Text(Words.Of(migration.State)),
                new Text($"{Numbers.Number(migration.PagesReceived)}/{Numbers.Number(migration.PagesTotal)}"),
                new Text(Numbers.Milliseconds(migration.TotalUs)),
                new Text(Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)));
        }

        return table;
    }

    /// <summary>Everything about one migration, the histogram of fault latencies included.</summary>
    public static void Write(IAnsiConsole console, Migration migration)
    {
        var figures = new TransferFigures(migration);
        FieldView.Write(console, MigrationFigures.Lines(figures));
        console.WriteLine();
        WriteLines(console, MigrationFigures.LatencyLines(figures));
        if (figures.FaultLatency.Count > 0)
        {
            WriteLines(
                console, ["postcopy-latency-dist:", .. LatencyChart.Lines(figures.FaultLatency.Buckets).Select(line => $"  {line}")]);
        }
    }

    private static void WriteLines(IAnsiConsole console, IEnumerable<string> lines)
    {
        foreach (var line in lines)
        {
            console.Write(new Text(line + "\n"));
        }
    }
}
