namespace MigrationD.Daemon.Metrics;

/// <summary>One set of labels of a family. Any thread may give it measurements, and any may read it meanwhile.</summary>
internal abstract class MetricSeries
{
    public abstract void Take(double measurement);

    public abstract void Write(PrometheusText text, string family, string labels);

    /// <summary>Adds without a lock.</summary>
    protected static void Add(ref double sum, double amount)
    {
        double before = Volatile.Read(ref sum);
        while (true)
        {
            double seen = Interlocked.CompareExchange(ref sum, before + amount, before);
            // Compared as bits: a sum that is NaN must not be waited for.
            if (BitConverter.DoubleToInt64Bits(seen) == BitConverter.DoubleToInt64Bits(before))
            {
                return;
            }

            before = seen;
        }
    }
}
