namespace MigrationD.Benchmarks.Report;

/// <summary>A figure: one panel for each series, on one time axis. <paramref name="Name"/> becomes the file's name.</summary>
internal sealed record Plot(string Name, string Title, IReadOnlyList<SpeedSeries> Series);
