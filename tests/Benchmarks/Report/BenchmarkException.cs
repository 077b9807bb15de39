namespace MigrationD.Benchmarks.Report;

/// <summary>A benchmark cannot be run here, or what it measured did not work; the message says what to do.</summary>
internal sealed class BenchmarkException(string message) : Exception(message);
