using System.Text.Json.Serialization;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>What one migration came to, or the medians of several.</summary>
internal sealed record MigrationFigures
{
    public required double TotalMilliseconds { get; init; }

    /// <summary>Pages with content, over the total time.</summary>
    public required double GigabytesPerSecond { get; init; }

    /// <summary>CPU time of both daemons, the guest's own threads included, over the total time.</summary>
    public required double CpuSecondsPerGigabyte { get; init; }

    public required double DowntimeMilliseconds { get; init; }

    public required double DemandFaults { get; init; }

    /// <summary>From reading a userfault until its page was placed; all zero when there was none.</summary>
    public required Latencies FaultMicroseconds { get; init; }

    /// <summary>The same times summed.</summary>
    public required double BlocktimeMilliseconds { get; init; }

    /// <summary>As the guest sees it, since it was created.</summary>
    public required double LargestGapMilliseconds { get; init; }

    /// <summary>The same before the migration: when it is as large, the migration's own is no larger.</summary>
    public required double LargestGapBeforeMilliseconds { get; init; }

    /// <summary>The least speed in any 100 ms from the start on, as a share of the speed before; 1 for a paused guest.</summary>
    public required double LeastSpeed { get; init; }

    /// <summary>From the start until the speed is back at nine tenths of what it was before; null when it was not by the end.</summary>
    public double? SlowMilliseconds { get; init; }

    /// <summary>The speed in the last second that was looked at, as a share of the speed before.</summary>
    public required double SpeedLater { get; init; }

    /// <summary>Share of the guest's memory that is in huge pages.</summary>
    public required double HugeOnSource { get; init; }

    public required double HugeOnArrival { get; init; }

    /// <summary>The same two seconds after the last page.</summary>
    public required double HugeLater { get; init; }

    /// <summary>On the managed heap, from the request to migrate until the end, without what this benchmark's own questions cost.</summary>
    public required double SourceAllocatedBytes { get; init; }

    public required double DestinationAllocatedBytes { get; init; }

    /// <summary>Pages with content.</summary>
    public required double Gigabytes { get; init; }

    public required double PagesUrgent { get; init; }

    public required double PagesRedundant { get; init; }

    public required double Moves2M { get; init; }

    public required double Moves4K { get; init; }

    public required double Copies { get; init; }

    /// <summary>Bytes from the source to the destination, framing included.</summary>
    public double BytesSent { get; init; }

    /// <summary>Rounds of precopy.</summary>
    public double Rounds { get; init; }

    /// <summary>Pages that had gone over in precopy and were written since; they came again.</summary>
    public double PagesStale { get; init; }

    /// <summary>One run's, also among medians.</summary>
    public SpeedSeries? Speed { get; init; }

    /// <summary>What was huge on the source, how much of it is huge on the destination; 1 when nothing was.</summary>
    [JsonIgnore]
    public double HugeKept => HugeOnSource == 0 ? 1 : HugeLater / HugeOnSource;

    /// <summary>The median of each figure, and the speed of the run whose total time is the median.</summary>
    public static MigrationFigures MedianOf(IReadOnlyList<MigrationFigures> runs)
    {
        double Middle(Func<MigrationFigures, double> figure) => Median.Of(runs.Select(figure));
        return new MigrationFigures
        {
            TotalMilliseconds = Middle(run => run.TotalMilliseconds),
            GigabytesPerSecond = Middle(run => run.GigabytesPerSecond),
            CpuSecondsPerGigabyte = Middle(run => run.CpuSecondsPerGigabyte),
            DowntimeMilliseconds = Middle(run => run.DowntimeMilliseconds),
            DemandFaults = Middle(run => run.DemandFaults),
            FaultMicroseconds = Latencies.MedianOf([.. runs.Select(run => run.FaultMicroseconds)]),
            BlocktimeMilliseconds = Middle(run => run.BlocktimeMilliseconds),
            LargestGapMilliseconds = Middle(run => run.LargestGapMilliseconds),
            LargestGapBeforeMilliseconds = Middle(run => run.LargestGapBeforeMilliseconds),
            LeastSpeed = Middle(run => run.LeastSpeed),
            SlowMilliseconds = MiddleOrNever(runs),
            SpeedLater = Middle(run => run.SpeedLater),
            HugeOnSource = Middle(run => run.HugeOnSource),
            HugeOnArrival = Middle(run => run.HugeOnArrival),
            HugeLater = Middle(run => run.HugeLater),
            SourceAllocatedBytes = Middle(run => run.SourceAllocatedBytes),
            DestinationAllocatedBytes = Middle(run => run.DestinationAllocatedBytes),
            Gigabytes = Middle(run => run.Gigabytes),
            PagesUrgent = Middle(run => run.PagesUrgent),
            PagesRedundant = Middle(run => run.PagesRedundant),
            Moves2M = Middle(run => run.Moves2M),
            Moves4K = Middle(run => run.Moves4K),
            Copies = Middle(run => run.Copies),
            BytesSent = Middle(run => run.BytesSent),
            Rounds = Middle(run => run.Rounds),
            PagesStale = Middle(run => run.PagesStale),
            Speed = runs.OrderBy(run => run.TotalMilliseconds).ElementAt(runs.Count / 2).Speed,
        };
    }

    /// <summary>Of guests that moved at the same time: the worst of what each of them saw, the first one's for everything else.</summary>
    public static MigrationFigures WorstOf(IReadOnlyList<MigrationFigures> together)
    {
        double Most(Func<MigrationFigures, double> figure) => together.Max(figure);
        return together[0] with
        {
            TotalMilliseconds = Most(one => one.TotalMilliseconds),
            DowntimeMilliseconds = Most(one => one.DowntimeMilliseconds),
            DemandFaults = Most(one => one.DemandFaults),
            BlocktimeMilliseconds = Most(one => one.BlocktimeMilliseconds),
            LargestGapMilliseconds = Most(one => one.LargestGapMilliseconds),
            FaultMicroseconds = new Latencies(
                Most(one => one.FaultMicroseconds.P50),
                Most(one => one.FaultMicroseconds.P90),
                Most(one => one.FaultMicroseconds.P99),
                Most(one => one.FaultMicroseconds.P999),
                Most(one => one.FaultMicroseconds.Max)),
        };
    }

    private static double? MiddleOrNever(IReadOnlyList<MigrationFigures> runs)
    {
        double middle = Median.Of(runs.Select(run => run.SlowMilliseconds ?? double.PositiveInfinity));
        return double.IsFinite(middle) ? middle : null;
    }
}
