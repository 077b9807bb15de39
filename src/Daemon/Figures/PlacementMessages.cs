using System.Numerics;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.V1;
using Placement = MigrationD.Guest.Userfault.Placement;

namespace MigrationD.Daemon.Figures;

/// <summary>Between the placing of pages and what travels of it; the counters themselves are in <see cref="MigrationFigures"/>.</summary>
internal static class PlacementMessages
{
    /// <summary>MOVE unless the request says COPY.</summary>
    public static Placement FromMessage(Protocol.V1.Placement placement) =>
        placement == Protocol.V1.Placement.Copy ? Placement.Copy : Placement.Move;

    public static Protocol.V1.ThreadWaits ToMessage(MigrationD.Guest.Userfault.ThreadWaits waits) => new()
    {
        Faults = (ulong)waits.Faults,
        BlocktimeUs = (ulong)waits.Blocktime.TotalMicroseconds,
    };

    /// <summary>Buckets go by the power of two at which they begin; what is below 2 microseconds goes together.</summary>
    public static LatencySummary ToMessage(LatencySnapshot latency) => new()
    {
        Count = (ulong)latency.Count,
        P50 = latency.P50,
        P90 = latency.P90,
        P99 = latency.P99,
        P999 = latency.P999,
        Max = latency.Max,
        Buckets = { latency.Buckets.GroupBy(Power).Select(group => (ulong)group.Sum(bucket => bucket.Count)) },
    };

    // A snapshot leaves out no bucket before its last, so neither do its powers.
    private static int Power(LatencyBucket bucket) => Math.Max(0, BitOperations.Log2((ulong)bucket.BelowMicroseconds) - 1);
}
