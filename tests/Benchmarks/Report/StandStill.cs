namespace MigrationD.Benchmarks.Report;

/// <summary>When a guest was stopped for its switchover: from when, in seconds from the start of its migration, and for how long.</summary>
internal readonly record struct StandStill(double Start, double Length);
