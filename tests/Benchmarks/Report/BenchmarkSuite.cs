using System.Text.Json;
using MigrationD.TestSupport;

namespace MigrationD.Benchmarks.Report;

/// <summary>Runs benchmarks one after the other and reports them where it was asked for.</summary>
internal static class BenchmarkSuite
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <exception cref="BenchmarkException">One of them cannot be run, or the report has no place to go.</exception>
    public static int Run(
        IReadOnlyList<IBenchmark> benchmarks, IEnumerable<IBenchmark> all, RunOptions options, string[] arguments, bool writeDocs)
    {
        // Found out before hours are spent.
        string? docs = writeDocs ? options.Docs ?? FindDocs() : null;
        MachineFacts machine = MachineFacts.Read(arguments);
        var sections = new List<Section>();
        foreach (IBenchmark benchmark in benchmarks)
        {
            Section section = benchmark.Measure(options, Progress);
            Progress("");
            sections.Add(section);
            if (!options.Json)
            {
                TextReport.Write(section, Console.Out);
                Console.WriteLine();
            }
        }

        if (options.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(
                new
                {
                    machine,
                    targets = sections.SelectMany(section => section.Targets),
                    benchmarks = sections.ToDictionary(section => section.Name, section => section.Results),
                },
                Json));
        }

        if (docs is not null)
        {
            Console.Error.WriteLine($"Written: {MarkdownReport.Write(docs, machine, sections, all.Select(one => one.Name))}");
        }

        return 0;
    }

    private static string FindDocs()
    {
        string tree = WorkingTree.Above(Environment.CurrentDirectory) ?? WorkingTree.Above(AppContext.BaseDirectory)
            ?? throw new BenchmarkException($"there is no {WorkingTree.Mark} above this folder; say with --docs where the report goes.");
        return Path.Combine(tree, "docs");
    }

    private static void Progress(string text)
    {
        if (!Console.IsErrorRedirected)
        {
            Console.Error.Write($"\r{text,-70}\r");
        }
        else if (text.Length > 0)
        {
            Console.Error.WriteLine(text);
        }
    }
}
