using System.Text.Json.Nodes;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using Counted = MigrationD.Guest.Userfault.PlacementCounters;
using static MigrationD.Daemon.Figures.Figure;

namespace MigrationD.Daemon.Figures;

/// <summary>
/// Every figure of a migration, once: its name, its unit, its value, and what QEMU, libvirt and people call it. What is printed of a
/// migration is made of them below, each document and the view in its own order.
/// </summary>
internal static class MigrationFigures
{
    private static readonly Figure
        Id = Word("id", of => of.Migration.Id) with { Label = "migration" },
        Guest = Word("guest", of => of.Migration.Guest),
        Role = Word("role", of => Words.Of(of.Migration.Role)),
        Operation = Word(null, of => of.Migration.Role == MigrationRole.Destination ? "Incoming migration" : "Outgoing migration")
            with { Libvirt = "operation" },
        Peer = Word("peer", of => of.Migration.Peer),
        Mode = Word("mode", of => Words.Of(of.Migration.Mode)),
        State = Word("state", of => Words.Of(of.Migration.State)) with { Qemu = "status" },
        Success = Shape(null, of =>
            MigrationRecord.IsFinalState(of.Migration.State) ? of.Migration.State == MigrationState.Completed : null)
            with { Libvirt = "success" },
        Reason = Sentence("reason", of => of.Migration.Reason) with { Label = "reason", Qemu = "error-desc", Libvirt = "errmsg" },

        // Times.
        StartedAt = Shape("startedAt", of => DateTimeOffset.UnixEpoch.AddMicroseconds(of.Migration.StartedUnixUs)),
        TotalTime = Time("totalMs", of => of.Migration.TotalUs) with { Qemu = "total-time", Libvirt = "time_elapsed" },
        SetupTime = Time("setupMs", of => of.Migration.HasSetupUs ? of.Migration.SetupUs : null)
            with { Qemu = "setup-time", Libvirt = "setup_time" },
        Downtime = Time("downtimeMs", of => of.Migration.HasDowntimeUs ? of.Migration.DowntimeUs : null)
            with { Qemu = "downtime", Libvirt = "downtime" },
        TimeRemaining = Count(null, "ms", of => (ulong?)of.TimeRemaining?.TotalMilliseconds) with { Libvirt = "time_remaining" },

        // What goes over.
        BytesSent = Bytes("bytesSent", of => of.Migration.BytesSent) with { Qemu = "transferred", Libvirt = "memory_processed" },
        DowntimeBytes = Bytes("downtimeBytes", of => of.Migration.HasDowntimeBytes ? of.Migration.DowntimeBytes : null)
            with { Qemu = "downtime-bytes" },
        PostcopyBytes = Bytes(null, of => of.PostcopyBytes) with { Qemu = "postcopy-bytes" },
        RemainingBytes = Bytes(null, of => of.RemainingBytes) with { Qemu = "remaining", Libvirt = "memory_remaining" },
        TotalBytes = Bytes(null, of => of.TotalBytes) with { Qemu = "total", Libvirt = "memory_total" },
        NormalPages = Pages(null, of => of.NormalPages) with { Qemu = "normal", Libvirt = "memory_normal" },
        NormalBytes = Bytes(null, of => of.NormalPages * TransferFigures.PageSize)
            with { Qemu = "normal-bytes", Libvirt = "memory_normal_bytes" },
        PageSize = Bytes(null, _ => TransferFigures.PageSize) with { Qemu = "page-size", Libvirt = "memory_page_size" },
        BytesPerSecond = Rate("bytesPerSecond", "bytes/s", of => of.Migration.BytesPerSecond) with { Libvirt = "memory_bps" },
        Megabits = new(null, "Mbit/s", of => of.MegabitsPerSecond, of => of.MegabitsPerSecond.ToString("N2", CultureInfo.InvariantCulture))
        {
            Qemu = "mbps",
        },
        PagesPerSecond = Rate("pagesPerSecond", "pages/s", of => of.Migration.PagesPerSecond) with { Qemu = "pages-per-second" },
        Recoveries = Count("recoveries", "", of => of.Migration.Recoveries) with { IsRare = true },
        ReleasedBytes = Bytes("releasedBytes", of => of.Migration.ReleasedBytes) with { Label = "released", IsRare = true },
        PackedFormat = Word("format", of => of.Migration.Compression.Format),
        PagesPacked = Pages("pagesPacked", of => of.Migration.Compression.PagesPacked),
        BytesSaved = Bytes("bytesSaved", of => of.Migration.Compression.BytesSaved),

        // Pages that are there, and how they came.
        PagesTotal = Pages("pagesTotal", of => of.Migration.PagesTotal),
        PagesReceived = Pages("pagesReceived", of => of.Migration.PagesReceived),
        PagesLost = Pages("pagesLost", of => of.Migration.PagesLost) with { Label = "lost", IsRare = true },
        PagesUrgent = Pages("pagesUrgent", of => of.Placement.PagesUrgent) with { Label = "by fault" },
        PagesPush = Pages("pagesPush", of => of.Placement.PagesPush) with { Label = "by push" },
        PagesZero = Pages("pagesZero", of => of.Placement.PagesZero) with { Qemu = "duplicate", Libvirt = "memory_constant" },
        PagesReplaced = Pages("pagesReplaced", of => of.Placement.PagesReplaced) with { Label = "replaced", IsRare = true },
        PagesForgotten = Pages("pagesForgotten", of => of.Placement.PagesForgotten) with { Label = "stale", IsRare = true },
        PagesRedundant = Pages("pagesRedundant", of => of.Placement.PagesRedundant) with { Label = "redundant" },
        PagesRequested = Pages("pagesRequested", of => of.Placement.FaultsRequested)
            with { Qemu = "postcopy-requests", Libvirt = "memory_postcopy_requests" },
        PrefetchHits = Count("prefetchHits", "faults", of => of.Placement.PrefetchHits) with { Label = "prefetch hits" },
        Moves4K = Pages("moves4K", of => of.Placement.Moves4K),
        Moves2M = Count("moves2M", "blocks", of => of.Placement.Moves2M),
        Copies = Pages("copies", of => of.Placement.Copies),
        Retries = Count("retries", "calls", of => of.Placement.Retries),
        BusyFallbacks = Count("busyFallbacks", "runs", of => of.Placement.BusyFallbacks),
        BlockSplitsAvoided = Count("blockSplitsAvoided", "blocks", of => of.Placement.BlockSplitsAvoided),
        Ioctls = Count("ioctls", "calls", of => of.Placement.Ioctls),

        // Who waited for them.
        Blocktime = Time("blocktimeMs", of => of.Placement.BlocktimeUs),
        AllVcpusBlocktime = Time("allVcpusBlocktimeMs", of => of.Placement.AllVcpusBlocktimeUs) with { Qemu = "postcopy-blocktime" },
        Vcpus = Shape("vcpus", of => new JsonArray([.. of.Placement.Vcpus.Select(Waits)])),
        VcpuBlocktime = EachVcpu("ms", waits => WholeMilliseconds(waits.BlocktimeUs), waits => Numbers.Milliseconds(waits.BlocktimeUs))
            with { Qemu = "postcopy-vcpu-blocktime" },
        VcpuLatency = EachVcpu("ns", waits => TransferFigures.Mean(waits) ?? 0, ShownMean) with { Qemu = "postcopy-vcpu-latency" },
        OtherThreads = Shape("otherThreads", of => Waits(of.Placement.OtherThreads ?? new ThreadWaits())),
        OthersLatency = MeanLatency(of => TransferFigures.Mean(of.Placement.OtherThreads)) with { Qemu = "postcopy-non-vcpu-latency" },
        FaultLatency = Latency("faultLatencyUs", of => of.Placement.FaultLatency),
        FaultQueue = Latency("faultQueueUs", of => of.Placement.FaultQueue),
        FaultNetwork = Latency("faultNetworkUs", of => of.Placement.FaultNetwork),
        FaultPlace = Latency("faultPlaceUs", of => of.Placement.FaultPlace),
        FaultLatencyMean = MeanLatency(of => of.MeanLatencyNs) with { Qemu = "postcopy-latency" },
        FaultLatencyBuckets = Shape("faultLatencyBuckets", of => Numbered(of.FaultLatency.Buckets))
            with { Unit = "faults", Qemu = "postcopy-latency-dist" },

        // Precopy.
        PrecopyTime = Time("timeMs", of => of.Precopy.TimeUs),
        Rounds = Count("rounds", "", of => of.Precopy.Rounds) with { Qemu = "dirty-sync-count", Libvirt = "memory_iteration" },
        PrecopyPages = Pages("pagesSent", of => of.Precopy.PagesSent) with { Label = "pages-sent" },
        PrecopyBytes = Bytes("bytes", of => of.Precopy.Bytes) with { Qemu = "precopy-bytes" },
        DirtyPages = Pages("dirtyPages", of => of.Precopy.DirtyPages) with { Label = "dirty-pages" },
        DirtyPagesPerSecond = Rate("dirtyPagesPerSecond", "pages/s", of => of.Precopy.DirtyPagesPerSecond)
            with { Qemu = "dirty-pages-rate", Libvirt = "memory_dirty_rate" },
        PrecopyPagesPerSecond = Rate("pagesPerSecond", "pages/s", of => of.Precopy.PagesPerSecond),
        PrecopyEnded = Sentence("ended", of => of.Precopy.Ended),
        Throttle = Count(null, "%", of => of.Precopy.CpuThrottlePercentage is > 0 and var percent ? percent : null)
            with { Qemu = "cpu-throttle-percentage", IsRare = true },

        // Limits.
        Bandwidth = Count("bandwidth", "bytes/s", of => NullIf0(of.Migration.Limits.Bandwidth)),
        PostcopyBandwidth = Count("postcopyBandwidth", "bytes/s", of => NullIf0(of.Migration.Limits.PostcopyBandwidth)),
        MaxRounds = Count("maxRounds", "", of => of.Migration.Limits is { HasMaxRounds: true } limits ? limits.MaxRounds : null),
        DowntimeLimit = Count("downtimeLimitMs", "ms", of =>
            of.Migration.Limits is { HasDowntimeLimitMs: true } limits ? limits.DowntimeLimitMs : null);

    /// <summary>What --json has of a migration.</summary>
    public static IReadOnlyList<Figure> All { get; } =
    [
        Id, Guest, Role, Peer, Mode, State, Reason, StartedAt, TotalTime, SetupTime, Downtime, BytesSent, DowntimeBytes, BytesPerSecond,
        PagesPerSecond, PagesTotal, PagesReceived, Recoveries, PagesLost, PagesUrgent, PagesPush, PagesZero, PagesReplaced, PagesForgotten,
        PagesRedundant, PagesRequested, PrefetchHits, Moves4K, Moves2M, Copies, Retries, BusyFallbacks, BlockSplitsAvoided, Ioctls,
        Blocktime, AllVcpusBlocktime, Vcpus, OtherThreads, FaultLatency, FaultQueue, FaultNetwork, FaultPlace, FaultLatencyBuckets,
        Group("precopy", of => of.Migration.Precopy is not null,
        [
            PrecopyTime, Rounds, PrecopyPages, PrecopyBytes, DirtyPages, DirtyPagesPerSecond, PrecopyPagesPerSecond, PrecopyEnded,
        ]),
        Group("limits", of => of.Migration.Limits is not null, [Bandwidth, PostcopyBandwidth, MaxRounds, DowntimeLimit]),
        ReleasedBytes,
        Group("compression", of => of.Migration.Compression is not null, [PackedFormat, PagesPacked, BytesSaved]),
    ];

    /// <summary>What <c>demo --json</c> has of its migration.</summary>
    public static IReadOnlyList<Figure> OfDemo { get; } =
    [
        State, TotalTime, Downtime, BytesSent, PagesUrgent, PagesPush, PagesZero, PagesRedundant, Moves4K, Moves2M, Copies, Blocktime,
        FaultLatency,
    ];

    /// <summary>What <c>drain --json</c> has of a guest's migration.</summary>
    public static IReadOnlyList<Figure> OfDrain { get; } =
    [
        Peer, Id with { Name = "migrationId" }, State with { Name = "migrationState" }, PagesTotal, PagesReceived, BytesSent,
        BytesPerSecond, Downtime, TotalTime,
    ];

    /// <summary>What <c>query-migrate</c> answers, but for the fields that have no meaning here.</summary>
    public static IReadOnlyList<Figure> OfQemu { get; } =
    [
        State,
        Group(null, _ => false,
        [
            BytesSent, RemainingBytes, TotalBytes, PagesZero, NormalPages, NormalBytes, Megabits, PagesPerSecond, PageSize, Rounds,
            DirtyPagesPerSecond, PagesRequested, PrecopyBytes, DowntimeBytes, PostcopyBytes,
        ]) with { Qemu = "ram" },
        TotalTime, SetupTime, Downtime, Reason, AllVcpusBlocktime, VcpuBlocktime, FaultLatencyMean, FaultLatencyBuckets, VcpuLatency,
        OthersLatency, Throttle,
    ];

    /// <summary>What <c>domjobinfo</c> tells, but for the fields that have no meaning here. All data is memory.</summary>
    public static IReadOnlyList<Figure> OfLibvirt { get; } =
    [
        Operation, Success, Reason, TotalTime, TimeRemaining, Downtime, SetupTime,
        TotalBytes with { Libvirt = "data_total" },
        BytesSent with { Libvirt = "data_processed" },
        RemainingBytes with { Libvirt = "data_remaining" },
        TotalBytes, BytesSent, RemainingBytes, PagesZero, NormalPages, NormalBytes, BytesPerSecond, PageSize, Rounds, DirtyPagesPerSecond,
        PagesRequested,
    ];

    /// <summary>What people are shown: names and values under each other. A value is empty where its line is not worth it.</summary>
    public static IReadOnlyList<(string Name, string Value)> Lines(TransferFigures of) =>
    [
        .. Plain(of, [Id, Guest, Role, Peer, Mode, State, Reason]),
        ("limits", of.Migration.Limits is { } limits ? LimitsLine(limits) : ""),
        .. Plain(of, [Throttle, Recoveries, TotalTime, SetupTime, Downtime]),
        .. of.Migration.Precopy is null ? [] : PrecopyLines(of),
        ("ram", $"{Numbers.Bytes(of.ProcessedBytes)} of {TotalBytes.Shown(of)}"),
        .. Indented(of, [BytesSent, RemainingBytes, TotalBytes]),
        ("  duplicate", $"{PagesZero.Shown(of)} pages of zeros"),
        ("  normal", $"{NormalPages.Shown(of)} pages"),
        .. Indented(of, [NormalBytes, ReleasedBytes]),
        ("  compression", of.Migration.Compression is null ? ""
            : $"{PackedFormat.Shown(of)}, {PagesPacked.Shown(of)} pages packed, {BytesSaved.Shown(of)} saved"),
        .. Indented(of, [PageSize, Megabits, PagesPerSecond, PagesRequested, PrecopyBytes, DowntimeBytes, PostcopyBytes]),
        ("pages", $"{PagesReceived.Shown(of)} of {PagesTotal.Shown(of)}"),
        .. Indented(of, [PagesLost, PagesUrgent, PagesPush]),
        ("  as zeros", PagesZero.Shown(of)),
        .. Indented(of, [PagesReplaced, PagesForgotten, PagesRedundant, PrefetchHits]),
        ("placed", $"{Moves2M.Shown(of)} huge pages moved whole, {Moves4K.Shown(of)} pages moved, {Copies.Shown(of)} pages copied, "
            + $"by {Ioctls.Shown(of)} calls"),
        ("retries", $"{Retries.Shown(of)}, and {BusyFallbacks.Shown(of)} moves that the kernel refused and a copy did"),
        ("postcopy-blocktime",
            $"{AllVcpusBlocktime.Shown(of)} with every vCPU waiting, {Blocktime.Shown(of)} summed over all waits"),
        .. Plain(of, [VcpuBlocktime, FaultLatencyMean, VcpuLatency]),
        ("postcopy-non-vcpu-latency", OthersLatency.Shown(of) + (of.Placement.OtherThreads is { Faults: > 0 } others
            ? $", {Numbers.Number(others.Faults)} faults of the kernel's threads and of the loading of device state" : "")),
    ];

    /// <summary>What people are shown of fault latencies: percentiles, what they are made of, and the heading of their histogram.</summary>
    public static IEnumerable<string> LatencyLines(TransferFigures of) => of.FaultLatency.Count == 0 ? ["fault latency: no faults"] :
    [
        $"fault latency, {Numbers.Number(of.FaultLatency.Count)} faults: {FaultLatency.Shown(of)}",
        .. LatencyPart(of.Placement.FaultQueue, $"queue, until the request went to the lane: {FaultQueue.Shown(of)}"),
        .. LatencyPart(of.Placement.FaultNetwork, $"network, until the page's bytes had come:  {FaultNetwork.Shown(of)}"),
        .. LatencyPart(of.Placement.FaultPlace, $"place, until the page was at its address:  {FaultPlace.Shown(of)}"),
        $"{FaultLatencyBuckets.Label}:",
    ];

    /// <summary>The limits that are in force, in a line.</summary>
    public static string LimitsLine(MigrationLimits limits) =>
        $"bandwidth {new Bandwidth(limits.Bandwidth)}, postcopy-bandwidth {new Bandwidth(limits.PostcopyBandwidth)}"
        + (limits.HasMaxRounds ? $", max-rounds {Numbers.Number(limits.MaxRounds)}" : "")
        + (limits.HasDowntimeLimitMs ? $", downtime-limit {Numbers.Number(limits.DowntimeLimitMs)} ms" : "");

    /// <summary>What was counted at the destination, as it travels.</summary>
    public static PlacementCounters ToMessage(Counted counted) => new()
    {
        PagesUrgent = (ulong)counted.PagesUrgent.Value,
        PagesPush = (ulong)counted.PagesPush.Value,
        PagesZero = (ulong)counted.PagesZero.Value,
        PagesZeroUrgent = (ulong)counted.PagesZeroUrgent.Value,
        PagesRedundant = (ulong)counted.PagesRedundant.Value,
        PagesReplaced = (ulong)counted.PagesReplaced.Value,
        PagesForgotten = (ulong)counted.PagesForgotten.Value,
        Moves4K = (ulong)counted.Moves4K.Value,
        Moves2M = (ulong)counted.Moves2M.Value,
        Copies = (ulong)counted.Copies.Value,
        Ioctls = (ulong)counted.Ioctls.Value,
        Retries = (ulong)counted.Retries.Value,
        BusyFallbacks = (ulong)counted.BusyFallbacks.Value,
        BlockSplitsAvoided = (ulong)counted.BlockSplitsAvoided.Value,
        FaultsRequested = (ulong)counted.FaultsRequested.Value,
        PrefetchHits = (ulong)counted.PrefetchHits.Value,
        BlocktimeUs = (ulong)counted.Blocktime.TotalMicroseconds,
        AllVcpusBlocktimeUs = (ulong)counted.AllVcpusBlocktime.TotalMicroseconds,
        Vcpus = { counted.Vcpus.Select(PlacementMessages.ToMessage) },
        OtherThreads = PlacementMessages.ToMessage(counted.OtherThreads),
        FaultLatency = PlacementMessages.ToMessage(counted.FaultLatency),
        FaultQueue = PlacementMessages.ToMessage(counted.FaultQueue),
        FaultNetwork = PlacementMessages.ToMessage(counted.FaultNetwork),
        FaultPlace = PlacementMessages.ToMessage(counted.FaultPlace),
    };

    /// <summary>What a source knows of precopy; a destination knows that there was some.</summary>
    private static IEnumerable<(string Name, string Value)> PrecopyLines(TransferFigures of) =>
    [
        ("precopy", PrecopyTime.Shown(of) + (of.Precopy.Ended.Length > 0 ? $", ended as {of.Precopy.Ended}" : "")),
        .. Indented(of, [Rounds, DirtyPages]),
        ("  dirty-pages-rate", $"{DirtyPagesPerSecond.Shown(of)} pages/s, {PrecopyPagesPerSecond.Shown(of)} pages/s sent"),
        .. Indented(of, [PrecopyPages]),
    ];

    private static IEnumerable<(string Name, string Value)> Plain(TransferFigures of, IReadOnlyList<Figure> figures) =>
        figures.Select(figure => (figure.Label, figure.Shown(of)));

    private static IEnumerable<(string Name, string Value)> Indented(TransferFigures of, IReadOnlyList<Figure> figures) =>
        figures.Select(figure => ("  " + figure.Label, figure.Shown(of)));

    private static string[] LatencyPart(LatencySummary? part, string line) => part is { Count: > 0 } ? ["  " + line] : [];

    private static Figure Latency(string name, Func<TransferFigures, LatencySummary?> value) =>
        new(name, "µs", of => Percentiles(value(of) ?? new LatencySummary()), of => ShownPercentiles(value(of) ?? new LatencySummary()));

    private static JsonObject Percentiles(LatencySummary latency) => new()
    {
        ["count"] = latency.Count,
        ["p50"] = latency.P50,
        ["p90"] = latency.P90,
        ["p99"] = latency.P99,
        ["p999"] = latency.P999,
        ["max"] = latency.Max,
    };

    private static string ShownPercentiles(LatencySummary latency) =>
        $"p50 {Numbers.Microseconds(latency.P50)}, p90 {Numbers.Microseconds(latency.P90)}, p99 {Numbers.Microseconds(latency.P99)}, "
        + $"p99.9 {Numbers.Microseconds(latency.P999)}, max {Numbers.Microseconds(latency.Max)}";

    private static Figure EachVcpu(string unit, Func<ThreadWaits, ulong> value, Func<ThreadWaits, string> show) => new(
        null, unit,
        of => of.Placement.Vcpus.Count == 0 ? null : Numbered(of.Placement.Vcpus.Select(value)),
        of => of.Placement.Vcpus.Count == 0 ? null : string.Join(", ", of.Placement.Vcpus.Select(show)));

    private static string ShownMean(ThreadWaits waits) =>
        TransferFigures.Mean(waits) is { } nanoseconds ? Nanoseconds(nanoseconds) : Numbers.Unknown;

    private static JsonNode Waits(ThreadWaits waits) => new JsonObject
    {
        ["faults"] = waits.Faults,
        ["blocktimeMs"] = Milliseconds(waits.BlocktimeUs),
    };

    private static JsonArray Numbered(IEnumerable<ulong> values) => new([.. values.Select(value => (JsonNode)value)]);

    private static ulong? NullIf0(ulong value) => value == 0 ? null : value;
}
