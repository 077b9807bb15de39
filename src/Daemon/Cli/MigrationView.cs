using System.Globalization;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MigrationD.Daemon.Cli;

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
                new Text($"{Figures.Number(migration.PagesReceived)}/{Figures.Number(migration.PagesTotal)}"),
                new Text(Figures.Milliseconds(migration.TotalUs)),
                new Text(Figures.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)));
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
        + (limits.HasMaxRounds ? $", max-rounds {Figures.Number(limits.MaxRounds)}" : "")
        + (limits.HasDowntimeLimitMs ? $", downtime-limit {Figures.Number(limits.DowntimeLimitMs)} ms" : "");

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
        ("cpu-throttle-percentage", migration.Precopy is { CpuThrottlePercentage: > 0 and var percent } ? Figures.Number(percent) : ""),
        ("recoveries", migration.Recoveries > 0 ? Figures.Number(migration.Recoveries) : ""),
        ("total-time", Figures.Milliseconds(migration.TotalUs)),
        ("setup-time", Figures.Milliseconds(migration.HasSetupUs, migration.SetupUs)),
        ("downtime", Figures.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)),
    ];

    /// <summary>What a source knows of precopy; a destination knows that there was some.</summary>
    private static IEnumerable<(string Name, string Value)> Precopy(Migration migration) =>
        migration.Precopy is not { } precopy ? [] :
        [
            ("precopy", Figures.Milliseconds(precopy.TimeUs) + (precopy.Ended.Length > 0 ? $", ended as {precopy.Ended}" : "")),
            ("  dirty-sync-count", Figures.Number(precopy.Rounds)),
            ("  dirty-pages", Figures.Number(precopy.DirtyPages)),
            ("  dirty-pages-rate", string.Create(CultureInfo.InvariantCulture, $"{precopy.DirtyPagesPerSecond:N0} pages/s, "
                + $"{precopy.PagesPerSecond:N0} pages/s sent")),
            ("  pages-sent", Figures.Number(precopy.PagesSent)),
        ];

    private static IEnumerable<(string Name, string Value)> Ram(Migration migration, TransferFigures figures) =>
    [
        ("ram", $"{Figures.Bytes(figures.ProcessedBytes)} of {Figures.Bytes(figures.TotalBytes)}"),
        ("  transferred", Figures.Bytes(migration.BytesSent)),
        ("  remaining", Figures.Bytes(figures.RemainingBytes)),
        ("  total", Figures.Bytes(figures.TotalBytes)),
        ("  duplicate", $"{Figures.Number(figures.Placement.PagesZero)} pages of zeros"),
        ("  normal", $"{Figures.Number(figures.NormalPages)} pages"),
        ("  normal-bytes", Figures.Bytes(figures.NormalPages * TransferFigures.PageSize)),
        ("  released", migration.ReleasedBytes > 0 ? Figures.Bytes(migration.ReleasedBytes) : ""),
        ("  compression", migration.Compression is { } packed
            ? $"{packed.Format}, {Figures.Number(packed.PagesPacked)} pages packed, {Figures.Bytes(packed.BytesSaved)} saved" : ""),
        ("  page-size", Figures.Bytes(TransferFigures.PageSize)),
        ("  mbps", string.Create(CultureInfo.InvariantCulture, $"{figures.MegabitsPerSecond:N2}")),
        ("  pages-per-second", string.Create(CultureInfo.InvariantCulture, $"{migration.PagesPerSecond:N0}")),
        ("  postcopy-requests", Figures.Number(figures.Placement.FaultsRequested)),
        ("  precopy-bytes", Figures.Bytes(figures.PrecopyBytes)),
        ("  downtime-bytes", migration.HasDowntimeBytes ? Figures.Bytes(migration.DowntimeBytes) : Figures.Unknown),
        ("  postcopy-bytes", figures.PostcopyBytes is { } bytes ? Figures.Bytes(bytes) : Figures.Unknown),
    ];

    private static IEnumerable<(string Name, string Value)> Pages(Migration migration, TransferFigures figures)
    {
        var placement = figures.Placement;
        return
        [
            ("pages", $"{Figures.Number(migration.PagesReceived)} of {Figures.Number(migration.PagesTotal)}"),
            ("  lost", migration.PagesLost > 0 ? Figures.Number(migration.PagesLost) : ""),
            ("  by fault", Figures.Number(placement.PagesUrgent)),
            ("  by push", Figures.Number(placement.PagesPush)),
            ("  as zeros", Figures.Number(placement.PagesZero)),
            ("  replaced", placement.PagesReplaced > 0 ? Figures.Number(placement.PagesReplaced) : ""),
            ("  stale", placement.PagesForgotten > 0 ? Figures.Number(placement.PagesForgotten) : ""),
            ("  redundant", Figures.Number(placement.PagesRedundant)),
            ("  prefetch hits", Figures.Number(placement.PrefetchHits)),
            ("placed", $"{Figures.Number(placement.Moves2M)} huge pages moved whole, {Figures.Number(placement.Moves4K)} pages moved, "
                + $"{Figures.Number(placement.Copies)} pages copied, by {Figures.Number(placement.Ioctls)} calls"),
            ("retries", $"{Figures.Number(placement.Retries)}, and {Figures.Number(placement.BusyFallbacks)} moves that the kernel refused "
                + "and a copy did"),
        ];
    }

    private static IEnumerable<(string Name, string Value)> Waits(TransferFigures figures)
    {
        var placement = figures.Placement;
        return
        [
            ("postcopy-blocktime", $"{Figures.Milliseconds(placement.AllVcpusBlocktimeUs)} with every vCPU waiting, "
                + $"{Figures.Milliseconds(placement.BlocktimeUs)} summed over all waits"),
            ("postcopy-vcpu-blocktime", Of(placement.Vcpus, waits => Figures.Milliseconds(waits.BlocktimeUs))),
            ("postcopy-latency", Mean(figures.MeanLatencyNs)),
            ("postcopy-vcpu-latency", Of(placement.Vcpus, waits => Mean(TransferFigures.Mean(waits)))),
            ("postcopy-non-vcpu-latency", Mean(TransferFigures.Mean(placement.OtherThreads))
                + (placement.OtherThreads is { Faults: > 0 } others
                    ? $", {Figures.Number(others.Faults)} faults of the kernel's threads and of the loading of device state" : "")),
        ];
    }

    private static string Of(IReadOnlyList<ThreadWaits> vcpus, Func<ThreadWaits, string> value) =>
        vcpus.Count == 0 ? Figures.Unknown : string.Join(", ", vcpus.Select(value));

    private static string Mean(ulong? nanoseconds) =>
        nanoseconds is { } value ? Figures.Microseconds(value / 1000.0) : Figures.Unknown;

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

        console.Write(new Text($"fault latency, {Figures.Number(latency.Count)} faults: {Percentiles(latency)}\n"));
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
        $"p50 {Figures.Microseconds(latency.P50)}, p90 {Figures.Microseconds(latency.P90)}, p99 {Figures.Microseconds(latency.P99)}, "
        + $"p99.9 {Figures.Microseconds(latency.P999)}, max {Figures.Microseconds(latency.Max)}";
}
