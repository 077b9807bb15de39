using System.Globalization;
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
        FieldView.Write(
            console, [.. Head(migration), .. Precopy(migration), .. Ram(migration, figures), .. Pages(migration, figures), .. Waits(figures)]);
        WriteLatency(console, figures);
    }

    /// <summary>The limits that are in force, in a line.</summary>
    public static string Limits(MigrationLimits limits) =>
        $"bandwidth {new Bandwidth(limits.Bandwidth)}, postcopy-bandwidth {new Bandwidth(limits.PostcopyBandwidth)}"
        + (limits.HasMaxRounds ? $", max-rounds {Numbers.Number(limits.MaxRounds)}" : "")
        + (limits.HasDowntimeLimitMs ? $", downtime-limit {Numbers.Number(limits.DowntimeLimitMs)} ms" : "");

    /// <summary>What it is and how long it took. Fields that QEMU or libvirt have bear QEMU's names, here and below.</summary>
    private static IEnumerable<(string Name, string Value)> Head(Migration migration) =>
    [
        ("migration", migration.Id),
        ("guest", migration.Guest),
        ("role", Words.Of(migration.Role)),
        ("peer", migration.Peer),
        ("mode", Words.Of(migration.Mode)),
        ("status", Words.Of(migration.State)),
        ("reason", migration.Reason),
        ("limits", migration.Limits is { } limits ? Limits(limits) : ""),
        ("cpu-throttle-percentage", migration.Precopy is { CpuThrottlePercentage: > 0 and var percent } ? Numbers.Number(percent) : ""),
        ("recoveries", migration.Recoveries > 0 ? Numbers.Number(migration.Recoveries) : ""),
        ("total-time", Numbers.Milliseconds(migration.TotalUs)),
        ("setup-time", Numbers.Milliseconds(migration.HasSetupUs, migration.SetupUs)),
        ("downtime", Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)),
    ];

    /// <summary>What a source knows of precopy; a destination knows that there was some.</summary>
    private static IEnumerable<(string Name, string Value)> Precopy(Migration migration) =>
        migration.Precopy is not { } precopy ? [] :
        [
            ("precopy", Numbers.Milliseconds(precopy.TimeUs) + (precopy.Ended.Length > 0 ? $", ended as {precopy.Ended}" : "")),
            ("  dirty-sync-count", Numbers.Number(precopy.Rounds)),
            ("  dirty-pages", Numbers.Number(precopy.DirtyPages)),
            ("  dirty-pages-rate", string.Create(CultureInfo.InvariantCulture, $"{precopy.DirtyPagesPerSecond:N0} pages/s, "
                + $"{precopy.PagesPerSecond:N0} pages/s sent")),
            ("  pages-sent", Numbers.Number(precopy.PagesSent)),
        ];

    private static IEnumerable<(string Name, string Value)> Ram(Migration migration, TransferFigures figures) =>
    [
        ("ram", $"{Numbers.Bytes(figures.ProcessedBytes)} of {Numbers.Bytes(figures.TotalBytes)}"),
        ("  transferred", Numbers.Bytes(migration.BytesSent)),
        ("  remaining", Numbers.Bytes(figures.RemainingBytes)),
        ("  total", Numbers.Bytes(figures.TotalBytes)),
        ("  duplicate", $"{Numbers.Number(figures.Placement.PagesZero)} pages of zeros"),
        ("  normal", $"{Numbers.Number(figures.NormalPages)} pages"),
        ("  normal-bytes", Numbers.Bytes(figures.NormalPages * TransferFigures.PageSize)),
        ("  released", migration.ReleasedBytes > 0 ? Numbers.Bytes(migration.ReleasedBytes) : ""),
        ("  compression", migration.Compression is { } packed
            ? $"{packed.Format}, {Numbers.Number(packed.PagesPacked)} pages packed, {Numbers.Bytes(packed.BytesSaved)} saved" : ""),
        ("  page-size", Numbers.Bytes(TransferFigures.PageSize)),
        ("  mbps", string.Create(CultureInfo.InvariantCulture, $"{figures.MegabitsPerSecond:N2}")),
        ("  pages-per-second", string.Create(CultureInfo.InvariantCulture, $"{migration.PagesPerSecond:N0}")),
        ("  postcopy-requests", Numbers.Number(figures.Placement.FaultsRequested)),
        ("  precopy-bytes", Numbers.Bytes(figures.PrecopyBytes)),
        ("  downtime-bytes", migration.HasDowntimeBytes ? Numbers.Bytes(migration.DowntimeBytes) : Numbers.Unknown),
        ("  postcopy-bytes", figures.PostcopyBytes is { } bytes ? Numbers.Bytes(bytes) : Numbers.Unknown),
    ];

    private static IEnumerable<(string Name, string Value)> Pages(Migration migration, TransferFigures figures)
    {
        var placement = figures.Placement;
        return
        [
            ("pages", $"{Numbers.Number(migration.PagesReceived)} of {Numbers.Number(migration.PagesTotal)}"),
            ("  lost", migration.PagesLost > 0 ? Numbers.Number(migration.PagesLost) : ""),
            ("  by fault", Numbers.Number(placement.PagesUrgent)),
            ("  by push", Numbers.Number(placement.PagesPush)),
            ("  as zeros", Numbers.Number(placement.PagesZero)),
            ("  replaced", placement.PagesReplaced > 0 ? Numbers.Number(placement.PagesReplaced) : ""),
            ("  stale", placement.PagesForgotten > 0 ? Numbers.Number(placement.PagesForgotten) : ""),
            ("  redundant", Numbers.Number(placement.PagesRedundant)),
            ("  prefetch hits", Numbers.Number(placement.PrefetchHits)),
            ("placed", $"{Numbers.Number(placement.Moves2M)} huge pages moved whole, {Numbers.Number(placement.Moves4K)} pages moved, "
                + $"{Numbers.Number(placement.Copies)} pages copied, by {Numbers.Number(placement.Ioctls)} calls"),
            ("retries", $"{Numbers.Number(placement.Retries)}, and {Numbers.Number(placement.BusyFallbacks)} moves that the kernel refused "
                + "and a copy did"),
        ];
    }

    private static IEnumerable<(string Name, string Value)> Waits(TransferFigures figures)
    {
        var placement = figures.Placement;
        return
        [
            ("postcopy-blocktime", $"{Numbers.Milliseconds(placement.AllVcpusBlocktimeUs)} with every vCPU waiting, "
                + $"{Numbers.Milliseconds(placement.BlocktimeUs)} summed over all waits"),
            ("postcopy-vcpu-blocktime", Of(placement.Vcpus, waits => Numbers.Milliseconds(waits.BlocktimeUs))),
            ("postcopy-latency", Mean(figures.MeanLatencyNs)),
            ("postcopy-vcpu-latency", Of(placement.Vcpus, waits => Mean(TransferFigures.Mean(waits)))),
            ("postcopy-non-vcpu-latency", Mean(TransferFigures.Mean(placement.OtherThreads))
                + (placement.OtherThreads is { Faults: > 0 } others
                    ? $", {Numbers.Number(others.Faults)} faults of the kernel's threads and of the loading of device state" : "")),
        ];
    }

    private static string Of(IReadOnlyList<ThreadWaits> vcpus, Func<ThreadWaits, string> value) =>
        vcpus.Count == 0 ? Numbers.Unknown : string.Join(", ", vcpus.Select(value));

    private static string Mean(ulong? nanoseconds) =>
        nanoseconds is { } value ? Numbers.Microseconds(value / 1000.0) : Numbers.Unknown;

    /// <summary>Percentiles, what they are made of, and histogram of fault latencies.</summary>
    private static void WriteLatency(IAnsiConsole console, TransferFigures figures)
    {
        console.WriteLine();
        var (latency, placement) = (figures.FaultLatency, figures.Placement);
        if (latency.Count == 0)
        {
            console.Write(new Text("fault latency: no faults\n"));
            return;
        }

        console.Write(new Text($"fault latency, {Numbers.Number(latency.Count)} faults: {Percentiles(latency)}\n"));
        foreach (var (part, summary) in new[]
        {
            ("queue, until the request went to the lane:", placement.FaultQueue),
            ("network, until the page's bytes had come: ", placement.FaultNetwork),
            ("place, until the page was at its address: ", placement.FaultPlace),
        })
        {
            if (summary is { Count: > 0 })
            {
                console.Write(new Text($"  {part} {Percentiles(summary)}\n"));
            }
        }

        console.Write(new Text("postcopy-latency-dist:\n"));
        foreach (var line in LatencyChart.Lines(latency.Buckets))
        {
            console.Write(new Text($"  {line}\n"));
        }
    }

    private static string Percentiles(LatencySummary latency) =>
        $"p50 {Numbers.Microseconds(latency.P50)}, p90 {Numbers.Microseconds(latency.P90)}, p99 {Numbers.Microseconds(latency.P99)}, "
        + $"p99.9 {Numbers.Microseconds(latency.P999)}, max {Numbers.Microseconds(latency.Max)}";
}
