using System.Globalization;
using MigrationD.Protocol.V1;
using Spectre.Console;

namespace MigrationD.Daemon.Cli;

/// <summary>Migrations for people.</summary>
internal static class MigrationView
{
    private const int BarCells = 40;

    /// <summary>One line a migration.</summary>
    public static void WriteList(IAnsiConsole console, IReadOnlyList<Migration> migrations)
    {
        var table = new Table().Border(TableBorder.None);
        foreach (var column in new[] { "ID", "GUEST", "ROLE", "PEER", "STATE", "PAGES", "TOTAL", "DOWNTIME" })
        {
            table.AddColumn(new TableColumn(column).NoWrap());
        }

        foreach (var migration in migrations)
        {
            table.AddRow(
                new Text(migration.Id),
                new Text(migration.Guest),
                new Text(Words.Of(migration.Role)),
                new Text(migration.Peer),
                new Text(Words.Of(migration.State)),
                new Text($"{Number(migration.PagesReceived)}/{Number(migration.PagesTotal)}"),
                new Text(Milliseconds(migration.TotalUs)),
                new Text(Milliseconds(migration.DowntimeUs)));
        }

        console.Write(table);
    }

    /// <summary>Everything about one migration, the histogram of fault latencies included.</summary>
    public static void Write(IAnsiConsole console, Migration migration)
    {
        var placement = migration.Placement ?? new PlacementCounters();
        FieldView.Write(console,
        [
            ("migration", migration.Id),
            ("guest", migration.Guest),
            ("role", Words.Of(migration.Role)),
            ("peer", migration.Peer),
            ("state", Words.Of(migration.State)),
            ("reason", migration.Reason),
            ("recoveries", migration.Recoveries > 0 ? Number(migration.Recoveries) : ""),
            ("total time", Milliseconds(migration.TotalUs)),
            ("downtime", Milliseconds(migration.DowntimeUs)),
            ("bytes sent", new ByteSize((long)migration.BytesSent).ToRoundedString()),
            ("pages", $"{Number(migration.PagesReceived)} of {Number(migration.PagesTotal)}"),
            ("  lost", migration.PagesLost > 0 ? Number(migration.PagesLost) : ""),
            ("  by fault", Number(placement.PagesUrgent)),
            ("  by push", Number(placement.PagesPush)),
            ("  as zeros", Number(placement.PagesZero)),
            ("  redundant", Number(placement.PagesRedundant)),
            ("placed", $"{Number(placement.Moves2M)} blocks of 2 MiB moved whole, {Number(placement.Moves4K)} pages moved, "
                + $"{Number(placement.Copies)} pages copied, by {Number(placement.Ioctls)} calls"),
            ("retries", $"{Number(placement.Retries)}, and {Number(placement.BusyFallbacks)} moves that the kernel refused and a copy did"),
            ("blocktime", Milliseconds(placement.BlocktimeUs)),
        ]);
        WriteLatency(console, placement.FaultLatency ?? new LatencySummary());
    }

    /// <summary>Percentiles and histogram of fault latencies.</summary>
    private static void WriteLatency(IAnsiConsole console, LatencySummary latency)
    {
        console.WriteLine();
        if (latency.Count == 0)
        {
            console.Write(new Text("fault latency: no faults\n"));
            return;
        }

        console.Write(new Text(string.Create(CultureInfo.InvariantCulture,
            $"fault latency, {latency.Count:N0} faults: p50 {latency.P50:0} µs, p90 {latency.P90:0} µs, p99 {latency.P99:0} µs, ")
            + string.Create(CultureInfo.InvariantCulture, $"p99.9 {latency.P999:0} µs, max {latency.Max:0} µs\n")));
        foreach (var line in Histogram(latency.Buckets))
        {
            console.Write(new Text(line + "\n"));
        }
    }

    /// <summary>
    /// One line for each bucket from the first to the last that holds something, with a bar in proportion to its count and never empty
    /// for a bucket that is not.
    /// </summary>
    internal static IEnumerable<string> Histogram(IReadOnlyList<ulong> buckets)
    {
        var filled = Enumerable.Range(0, buckets.Count).Where(i => buckets[i] > 0).ToArray();
        if (filled.Length == 0)
        {
            yield break;
        }

        var most = buckets.Max();
        for (var i = filled[0]; i <= filled[^1]; i++)
        {
            var from = i == 0 ? "0" : Microseconds(i);
            var cells = (int)Math.Ceiling(buckets[i] * (double)BarCells / most);
            var bar = new string('█', cells).PadRight(BarCells);
            yield return $"  {from,8} to {Microseconds(i + 1),-8} {bar} {Number(buckets[i])}";
        }
    }

    /// <summary>2^<paramref name="exponent"/> microseconds with a unit that keeps it short.</summary>
    private static string Microseconds(int exponent)
    {
        var value = Math.Pow(2, exponent);
        return value switch
        {
            < 1000 => string.Create(CultureInfo.InvariantCulture, $"{value:0} µs"),
            < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{value / 1e3:0.0} ms"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:0.0} s"),
        };
    }

    private static string Milliseconds(ulong microseconds) =>
        string.Create(CultureInfo.InvariantCulture, $"{microseconds / 1000.0:N2} ms");

    private static string Number(ulong value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
