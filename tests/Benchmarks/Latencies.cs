namespace MigrationD.Benchmarks;

/// <summary>Percentiles of one run, or the medians of several runs' percentiles, in microseconds.</summary>
internal sealed record Latencies(double P50, double P90, double P99, double P999, double Max)
{
    /// <summary>The percentiles of these samples, which get sorted.</summary>
    public static Latencies Of(double[] microseconds)
    {
        Array.Sort(microseconds);
        return new Latencies(At(0.5), At(0.9), At(0.99), At(0.999), microseconds[^1]);

        double At(double share) => microseconds[(int)(share * (microseconds.Length - 1))];
    }

    /// <summary>Each percentile as a multiple of another's.</summary>
    public Latencies RatioTo(Latencies other) =>
        new(P50 / other.P50, P90 / other.P90, P99 / other.P99, P999 / other.P999, Max / other.Max);

    public static Latencies MedianOf(IReadOnlyList<Latencies> runs) => new(
        Median.Of(runs.Select(run => run.P50)),
        Median.Of(runs.Select(run => run.P90)),
        Median.Of(runs.Select(run => run.P99)),
        Median.Of(runs.Select(run => run.P999)),
        Median.Of(runs.Select(run => run.Max)));
}
