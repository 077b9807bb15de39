namespace MigrationD.Benchmarks.Place;

/// <summary>What placing came to, for each page of 4 KiB in microseconds.</summary>
/// <param name="Place">The calls that place.</param>
/// <param name="Refill">Fresh pages into the staging for the next round, done off the path that anybody waits for.</param>
/// <param name="Mappings">Mappings that the memory consists of afterwards; it was one.</param>
/// <param name="HugeShare">Share of what was placed that is in huge pages.</param>
internal sealed record PlaceFigures(double Place, double Refill, double Mappings, double HugeShare)
{
    public static PlaceFigures MedianOf(IReadOnlyList<PlaceFigures> runs) => new(
        Median.Of(runs.Select(run => run.Place)),
        Median.Of(runs.Select(run => run.Refill)),
        Median.Of(runs.Select(run => run.Mappings)),
        Median.Of(runs.Select(run => run.HugeShare)));
}
