using System.Numerics;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.V1;
using Counted = MigrationD.Guest.Userfault.PlacementCounters;
using Placement = MigrationD.Guest.Userfault.Placement;
using PlacementCounters = MigrationD.Protocol.V1.PlacementCounters;

namespace MigrationD.Daemon.Destination;

/// <summary>Between what the placing of pages counts and what travels.</summary>
internal static class PlacementMessages
{
    public static PlacementCounters ToMessage(Counted counted) => new()
    {
        PagesUrgent = (ulong)counted.PagesUrgent.Value,
        PagesPush = (ulong)counted.PagesPush.Value,
        PagesZero = (ulong)counted.PagesZero.Value,
        PagesRedundant = (ulong)counted.PagesRedundant.Value,
        PagesReplaced = (ulong)counted.PagesReplaced.Value,
        PagesForgotten = (ulong)counted.PagesForgotten.Value,
        Moves4K = (ulong)counted.Moves4K.Value,
        Moves2M = (ulong)counted.Moves2M.Value,
        Copies = (ulong)counted.Copies.Value,
        PagesZeroUrgent = (ulong)counted.PagesZeroUrgent.Value,
        Retries = (ulong)counted.Retries.Value,
        BusyFallbacks = (ulong)counted.BusyFallbacks.Value,
        BlockSplitsAvoided = (ulong)counted.BlockSplitsAvoided.Value,
        Ioctls = (ulong)counted.Ioctls.Value,
        BlocktimeUs = (ulong)counted.Blocktime.TotalMicroseconds,
        FaultLatency = ToMessage(counted.FaultLatency),
        FaultsRequested = (ulong)counted.FaultsRequested.Value,
        PrefetchHits = (ulong)counted.PrefetchHits.Value,
        FaultQueue = ToMessage(counted.FaultQueue),
        FaultNetwork = ToMessage(counted.FaultNetwork),
        FaultPlace = ToMessage(counted.FaultPlace),
        AllVcpusBlocktimeUs = (ulong)counted.AllVcpusBlocktime.TotalMicroseconds,
        Vcpus = { counted.Vcpus.Select(ToMessage) },
        OtherThreads = ToMessage(counted.OtherThreads),
    };

    /// <summary>MOVE unless the request says COPY.</summary>
    public static Placement FromMessage(Protocol.V1.Placement placement) =>
        placement == Protocol.V1.Placement.Copy ? Placement.Copy : Placement.Move;

    private static Protocol.V1.ThreadWaits ToMessage(MigrationD.Guest.Userfault.ThreadWaits waits) => new()
    {
        Faults = (ulong)waits.Faults,
        BlocktimeUs = (ulong)waits.Blocktime.TotalMicroseconds,
    };

    private static LatencySummary ToMessage(LatencySnapshot latency) => new()
    {
        Count = (ulong)latency.Count,
        P50 = latency.P50,
        P90 = latency.P90,
        P99 = latency.P99,
        P999 = latency.P999,
        Max = latency.Max,
        Buckets = { Buckets(latency.Buckets) },
    };

    /// <summary>By the power of two at which they begin; what is below 2 microseconds goes together.</summary>
    private static ulong[] Buckets(IReadOnlyList<LatencyBucket> buckets)
    {
        if (buckets.Count == 0)
        {
            return [];
        }

        ulong[] byPower = new ulong[Power(buckets[^1]) + 1];
        foreach (LatencyBucket bucket in buckets)
        {
            byPower[Power(bucket)] += (ulong)bucket.Count;
        }

        return byPower;
    }

    private static int Power(LatencyBucket bucket) => Math.Max(0, BitOperations.Log2((ulong)bucket.BelowMicroseconds) - 1);
}
