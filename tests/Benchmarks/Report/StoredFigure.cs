namespace MigrationD.Benchmarks.Report;

/// <summary>A plot that has been drawn. <paramref name="Name"/> is its file's name.</summary>
internal sealed record StoredFigure(string Name, string Title);
