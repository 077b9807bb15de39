using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Peers;

/// <summary>What one migration came to, whoever did it, or the medians of several.</summary>
internal sealed record PeerRun
{
    /// <summary>From the start of the migration until the last page had arrived.</summary>
    public required double TotalMilliseconds { get; init; }

    /// <summary>How long the guest was stopped for the switchover.</summary>
    public required double DowntimeMilliseconds { get; init; }

    /// <summary>Pages that were asked for because the guest touched them.</summary>
    public required double DemandFaults { get; init; }

    /// <summary>Bytes from the source to the destination, pages that went over more than once included.</summary>
    public required double BytesSent { get; init; }

    /// <summary>Passes of precopy over what was dirty, as whoever made them counts them.</summary>
    public required double Rounds { get; init; }

    /// <summary>How long the guest waited for pages, all its waits together, as the hypervisor counts it.</summary>
    public required double BlocktimeMilliseconds { get; init; }

    /// <summary>Mean wait for one page: what the hypervisor says of it, else the blocktime over the demand faults.</summary>
    public required double FaultMeanMicroseconds { get; init; }

    /// <summary>The longest time between two steps of the guest.</summary>
    public required double LargestGapMilliseconds { get; init; }

    /// <summary>The same before the migration: when it is as large, the migration's own is no larger.</summary>
    public required double LargestGapBeforeMilliseconds { get; init; }

    /// <summary>Share of the guest's memory that is in huge pages.</summary>
    public required double HugeBefore { get; init; }

    public required double HugeAfter { get; init; }

    /// <summary>One run's, also among medians.</summary>
    public required SpeedSeries Speed { get; init; }

    public required double StepsPerSecondBefore { get; init; }

    /// <summary>The least speed in any 100 ms from the start on, as a share of the speed before.</summary>
    public required double LeastSpeed { get; init; }

    /// <summary>How much time of the guest the migration cost (<see cref="SpeedShares.LostMilliseconds"/>).</summary>
    public required double LostMilliseconds { get; init; }

    /// <summary>A migration from daemon to daemon.</summary>
    public static PeerRun Of(string name, MigrationFigures figures)
    {
        SpeedSeries speed = figures.Speed! with { Name = name };
        return new PeerRun
        {
            TotalMilliseconds = figures.TotalMilliseconds,
            DowntimeMilliseconds = figures.DowntimeMilliseconds,
            DemandFaults = figures.DemandFaults,
            BytesSent = figures.BytesSent,
            Rounds = figures.Rounds,
            BlocktimeMilliseconds = figures.BlocktimeMilliseconds,
            FaultMeanMicroseconds = Mean(figures.BlocktimeMilliseconds, figures.DemandFaults),
            LargestGapMilliseconds = figures.LargestGapMilliseconds,
            LargestGapBeforeMilliseconds = figures.LargestGapBeforeMilliseconds,
            HugeBefore = figures.HugeOnSource,
            HugeAfter = figures.HugeOnArrival,
            Speed = speed,
            StepsPerSecondBefore = speed.Before(),
            LeastSpeed = speed.Least(),
            LostMilliseconds = SpeedShares.LostMilliseconds(speed),
        };
    }

    /// <summary>A blocktime over so many faults, in microseconds.</summary>
    public static double Mean(double blocktimeMilliseconds, double faults) => faults > 0 ? blocktimeMilliseconds * 1000 / faults : 0;

    /// <summary>The median of each figure, and the speed of the run whose total time is the median.</summary>
    public static PeerRun MedianOf(IReadOnlyList<PeerRun> runs)
    {
        double Middle(Func<PeerRun, double> figure) => Median.Of(runs.Select(figure));
        return new PeerRun
        {
            TotalMilliseconds = Middle(run => run.TotalMilliseconds),
            DowntimeMilliseconds = Middle(run => run.DowntimeMilliseconds),
            DemandFaults = Middle(run => run.DemandFaults),
            BytesSent = Middle(run => run.BytesSent),
            Rounds = Middle(run => run.Rounds),
            BlocktimeMilliseconds = Middle(run => run.BlocktimeMilliseconds),
            FaultMeanMicroseconds = Middle(run => run.FaultMeanMicroseconds),
            LargestGapMilliseconds = Middle(run => run.LargestGapMilliseconds),
            LargestGapBeforeMilliseconds = Middle(run => run.LargestGapBeforeMilliseconds),
            HugeBefore = Middle(run => run.HugeBefore),
            HugeAfter = Middle(run => run.HugeAfter),
            Speed = runs.OrderBy(run => run.TotalMilliseconds).ElementAt(runs.Count / 2).Speed,
            StepsPerSecondBefore = Middle(run => run.StepsPerSecondBefore),
            LeastSpeed = Middle(run => run.LeastSpeed),
            LostMilliseconds = Middle(run => run.LostMilliseconds),
        };
    }
}
