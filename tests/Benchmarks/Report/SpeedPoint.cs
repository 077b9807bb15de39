namespace MigrationD.Benchmarks.Report;

/// <summary>How fast a guest was over an interval.</summary>
/// <param name="Seconds">The end of the interval, counted from the start of the migration.</param>
/// <param name="StepsPerSecond">Steps of all its vCPUs.</param>
internal readonly record struct SpeedPoint(double Seconds, double StepsPerSecond);
