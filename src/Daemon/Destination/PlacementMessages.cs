using System.Numerics;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.V1;
using Placement = MigrationD.Guest.Userfault.Placement;

namespace MigrationD.Daemon.Destination;

/// <summary>Between what the placing of pages counts and what travels.</summary>
internal static class PlacementMessages
{
    public static PlacementCounters ToMessage(PlacementSnapshot snapshot) => new()
    {
        PagesUrgent = (ulong)snapshot.PagesUrgent,
        PagesPush = (ulong)snapshot.PagesPush,
        PagesZero = (ulong)snapshot.PagesZero,
        PagesRedundant = (ulong)snapshot.PagesRedundant,
        PagesReplaced = (ulong)snapshot.PagesReplaced,
        PagesForgotten = (ulong)snapshot.PagesForgotten,
        Moves4K = (ulong)snapshot.Moves4K,
        Moves2M = (ulong)snapshot.Moves2M,
        Copies = (ulong)snapshot.Copies,
        PagesZeroUrgent = (ulong)snapshot.PagesZeroUrgent,
        Retries = (ulong)snapshot.Retries,
        BusyFallbacks = (ulong)snapshot.BusyFallbacks,
        BlockSplitsAvoided = (ulong)snapshot.BlockSplitsAvoided,
        Ioctls = (ulong)snapshot.Ioctls,
        BlocktimeUs = (ulong)snapshot.Blocktime.TotalMicroseconds,
        FaultLatency = ToMessage(snapshot.FaultLatency),
        FaultsRequested = (ulong)snapshot.FaultsRequested,
        PrefetchHits = (ulong)snapshot.FaultsLate,
        FaultQueue = ToMessage(snapshot.FaultQueue),
        FaultNetwork = ToMessage(snapshot.FaultNetwork),
        FaultPlace = ToMessage(snapshot.FaultPlace),
        AllVcpusBlocktimeUs = (ulong)snapshot.AllVcpusBlocktime.TotalMicroseconds,
        Vcpus = { snapshot.Vcpus.Select(ToMessage) },
        OtherThreads = ToMessage(snapshot.OtherThreads),
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
