namespace MigrationD.Benchmarks.Report;

/// <summary>A section as a terminal shows it.</summary>
internal static class TextReport
{
    public static void Write(Section section, TextWriter to)
    {
        to.WriteLine(section.Title);
        to.WriteLine();
        to.WriteLine(section.Intro);
        foreach (Table table in section.Tables)
        {
            to.WriteLine();
            Write(table, to);
        }

        if (section.Targets.Count > 0)
        {
            to.WriteLine();
            Write(TargetTable.Of(section.Targets), to);
        }

        foreach (string note in section.Notes)
        {
            to.WriteLine();
            to.WriteLine($"- {note}");
        }
    }

    private static void Write(Table table, TextWriter to)
    {
        int[] widths = [.. table.Columns.Select((column, i) => table.Rows.Select(row => row[i].Length).Append(column.Length).Max())];
        if (table.Title.Length > 0)
        {
            to.WriteLine(table.Title);
        }

        foreach (IReadOnlyList<string> row in table.Rows.Prepend(table.Columns))
        {
            IEnumerable<string> cells = row.Select((cell, i) => i == 0 ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i]));
            to.WriteLine($"  {string.Join("  ", cells)}".TrimEnd());
        }
    }
}
