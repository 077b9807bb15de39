namespace MigrationD.Benchmarks.Lanes;

/// <summary>What bulk takes from one process to another.</summary>
/// <param name="GigabytesPerSecond">Throughput.</param>
/// <param name="CpuSecondsPerGigabyte">CPU time of both processes.</param>
internal sealed record Bulk(double GigabytesPerSecond, double CpuSecondsPerGigabyte)
{
    public static Bulk MedianOf(IEnumerable<Bulk> runs) => new(
        Median.Of(runs.Select(run => run.GigabytesPerSecond)), Median.Of(runs.Select(run => run.CpuSecondsPerGigabyte)));
}
