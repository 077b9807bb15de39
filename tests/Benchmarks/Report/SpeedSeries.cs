namespace MigrationD.Benchmarks.Report;

/// <summary>A guest's speed before, during and after a migration, which starts at second 0.</summary>
internal sealed record SpeedSeries(string Name, IReadOnlyList<SpeedPoint> Points)
{
    /// <summary>The switchover, when it is known.</summary>
    public StandStill? Downtime { get; init; }

    /// <summary>When the last page had arrived, in seconds, when it is known.</summary>
    public double? Completed { get; init; }

    /// <summary>The median speed before the migration, in steps per second: what the rest is measured by.</summary>
    public double Before() => Median.Of(Points.Where(point => point.Seconds <= 0).Select(point => point.StepsPerSecond));

    /// <summary>The least speed of any interval from the start of the migration on, as a share of the speed before.</summary>
    public double Least() => Points.Where(point => point.Seconds > 0).Min(point => point.StepsPerSecond) / Before();
}
