namespace MigrationD.Daemon.Metrics;

/// <summary>Measurements counted by size.</summary>
/// <param name="bounds">Upper bounds of the buckets, inclusive, ascending; above the last one there is one more.</param>
internal sealed class HistogramSeries(double[] bounds) : MetricSeries
{
    private readonly long[] _counts = new long[bounds.Length + 1];
    private double _sum;

    public override void Take(double measurement)
    {
        int at = Array.BinarySearch(bounds, measurement);
        _ = Interlocked.Increment(ref _counts[at < 0 ? ~at : at]);
        Add(ref _sum, measurement);
    }

    public override void Write(PrometheusText text, string family, string labels)
    {
        string before = labels.Length > 0 ? labels + "," : "";
        long count = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            // Each is read once: the buckets and the count agree whatever is measured meanwhile.
            count += Volatile.Read(ref _counts[i]);
            double bound = i < bounds.Length ? bounds[i] : double.PositiveInfinity;
            text.Sample($"{family}_bucket", $"{before}le=\"{PrometheusText.Number(bound)}\"", count);
        }

        text.Sample($"{family}_sum", labels, Volatile.Read(ref _sum));
        text.Sample($"{family}_count", labels, count);
    }
}
