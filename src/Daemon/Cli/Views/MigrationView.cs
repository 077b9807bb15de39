using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>Migrations for people.</summary>
internal static class MigrationView
{
    /// <summary>Writes a line for each migration.</summary>
    public static void WriteList(IAnsiConsole console, IReadOnlyList<Migration> migrations)
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

        console.Write(table);
    }

    /// <summary>Writes everything about one migration, the histogram of fault latencies included.</summary>
    public static void Write(IAnsiConsole console, Migration migration)
    {
        var figures = new TransferFigures(migration);
        FieldView.Write(console, MigrationFigures.Lines(figures));
        console.WriteLine();
        var buckets = LatencyChart.Lines(figures.FaultLatency.Buckets).Select(line => $"  {line}");
        foreach (var line in MigrationFigures.LatencyLines(figures).Concat(buckets))
        {
            console.Write(new Text(line + "\n"));
        }
    }
}
