namespace MigrationD.Benchmarks.Report;

/// <summary>Figures in rows; the first column names the row.</summary>
internal sealed record Table(string Title, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows);
