namespace MigrationD.Daemon.Metrics;

/// <summary>What a counter has counted: measurements are added up.</summary>
internal sealed class SumSeries : MetricSeries
{
    private double _sum;

    public override void Take(double measurement) => Add(ref _sum, measurement);

    public override void Write(PrometheusText text, string family, string labels) =>
        text.Sample(family, labels, Volatile.Read(ref _sum));
}
