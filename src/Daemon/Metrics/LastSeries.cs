namespace MigrationD.Daemon.Metrics;

/// <summary>What was said last, of an instrument that says how things are.</summary>
internal sealed class LastSeries : MetricSeries
{
    private double _last;

    public override void Take(double measurement) => Volatile.Write(ref _last, measurement);

    public override void Write(PrometheusText text, string family, string labels) =>
        text.Sample(family, labels, Volatile.Read(ref _last));
}
