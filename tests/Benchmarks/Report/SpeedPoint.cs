namespace MigrationD.Benchmarks.Report;

/// <summary>How fast a guest was over the interval that ends at <paramref name="Seconds"/>, counted from the start of its migration.</summary>
internal readonly record struct SpeedPoint(double Seconds, double StepsPerSecond);
