using System.Globalization;
using System.Text;

namespace MigrationD.Benchmarks.Report;

/// <summary>The report in the documentation: benchmarks.md, and its figures beside it in benchmarks/.</summary>
internal static class MarkdownReport
{
    private const string FileName = "benchmarks.md";
    private const string FigureFolder = "benchmarks";

    /// <summary>Writes the report over the one that is there; of benchmarks that were not run now it has what they last came to.</summary>
    /// <param name="docs">The folder of the report.</param>
    /// <param name="machine">Where and how they were run now.</param>
    /// <param name="sections">What was measured now.</param>
    /// <param name="order">Every benchmark's name, in the order of the report.</param>
    /// <returns>The path of benchmarks.md.</returns>
    public static string Write(string docs, MachineFacts machine, IReadOnlyList<Section> sections, IEnumerable<string> order)
    {
        string figures = Path.Combine(docs, FigureFolder);
        Directory.CreateDirectory(figures);
        foreach (Plot plot in sections.SelectMany(section => section.Plots))
        {
            File.WriteAllText(Path.Combine(figures, $"{plot.Name}.svg"), SpeedPlot.Draw(plot));
        }

        foreach (Section section in sections)
        {
            StoredSection.Of(section, machine).Write(figures);
        }

        string path = Path.Combine(docs, FileName);
        File.WriteAllText(path, Compose([.. order.Select(name => StoredSection.Read(figures, name)).OfType<StoredSection>()]));
        return path;
    }

    private static string Compose(IReadOnlyList<StoredSection> sections)
    {
        var text = new StringBuilder();
        text.Append("# Benchmarks\n\n");
        text.Append("""
            Written by the benchmarks themselves; a change by hand is lost with the next run. Each section is of one run on one machine,
            and where a limit or a peer is named it was measured in that same run: trust the ratios more than the absolute figures.


            """);
        Append(text, new Table(
            "",
            ["", "date", "machine", "kernel", "transparent huge pages", "runtime", "command"],
            [.. sections.Select(section => Row(section.Name, section.Machine))]));
        List<Target> targets = [.. sections.SelectMany(section => section.Targets)];
        if (targets.Count > 0)
        {
            text.Append("\n## Reach\n\n");
            int reached = targets.Count(target => target.Reached);
            text.Append(CultureInfo.InvariantCulture, $"{reached} of {targets.Count} targets are reached.\n\n");
            Append(text, TargetTable.Of(targets));
            AppendShortfalls(text, targets);
        }

        foreach (StoredSection section in sections)
        {
            Append(text, section);
        }

        return text.ToString();
    }

    private static string[] Row(string name, MachineFacts machine) =>
    [
        $"`{name}`",
        machine.Date,
        string.Create(CultureInfo.InvariantCulture, $"{machine.Cpu}, {machine.Cores} cores, {machine.MemoryGiB} GiB"),
        machine.Kernel,
        machine.HugePages,
        machine.Runtime,
        $"`{machine.CommandLine}`",
    ];

    private static void AppendShortfalls(StringBuilder text, List<Target> targets)
    {
        string[] shortfalls = [.. targets.Where(one => !one.Reached && one.Shortfall.Length > 0).Select(one => one.Shortfall).Distinct()];
        if (shortfalls.Length == 0)
        {
            return;
        }

        text.Append("\nWhy not, as far as is known:\n\n");
        foreach (string shortfall in shortfalls)
        {
            text.Append(CultureInfo.InvariantCulture, $"- {shortfall}\n");
        }
    }

    private static void Append(StringBuilder text, StoredSection section)
    {
        text.Append(CultureInfo.InvariantCulture, $"\n## {section.Title}\n\n`{section.Name}`. {section.Intro}\n");
        foreach (StoredFigure figure in section.Figures)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n![{figure.Title}]({FigureFolder}/{figure.Name}.svg)\n");
        }

        foreach (Table table in section.Tables)
        {
            text.Append(table.Title.Length > 0 ? $"\n### {table.Title}\n\n" : "\n");
            Append(text, table);
        }

        if (section.Notes.Count > 0)
        {
            text.Append('\n');
            foreach (string note in section.Notes)
            {
                text.Append(CultureInfo.InvariantCulture, $"- {note}\n");
            }
        }
    }

    private static void Append(StringBuilder text, Table table)
    {
        Line(text, table.Columns);
        Line(text, table.Columns.Select((_, i) => i == 0 ? "---" : "---:"));
        foreach (IReadOnlyList<string> row in table.Rows)
        {
            Line(text, row);
        }

        static void Line(StringBuilder text, IEnumerable<string> cells) =>
            text.Append("| ").AppendJoin(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
    }
}
