using System.Text.Json;

namespace MigrationD.Benchmarks.Report;

/// <summary>
/// What one benchmark had to say when it was last run for the report, kept beside the report: one benchmark can be run again without the
/// others.
/// </summary>
/// <param name="Name">The word that runs it.</param>
/// <param name="Machine">Where and how it was run.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Intro">What was measured and how.</param>
/// <param name="Figures">Its plots: the name of each one's file, and its title.</param>
/// <param name="Tables">Its figures.</param>
/// <param name="Targets">What was to be reached.</param>
/// <param name="Notes">What the figures do not say by themselves.</param>
internal sealed record StoredSection(
    string Name, MachineFacts Machine, string Title, string Intro, IReadOnlyList<StoredFigure> Figures, IReadOnlyList<Table> Tables,
    IReadOnlyList<Target> Targets, IReadOnlyList<string> Notes)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>A section that has just been measured.</summary>
    public static StoredSection Of(Section section, MachineFacts machine) => new(
        section.Name, machine, section.Title, section.Intro, [.. section.Plots.Select(plot => new StoredFigure(plot.Name, plot.Title))],
        section.Tables, section.Targets, section.Notes);

    /// <summary>What is stored of a benchmark in a folder; null when it has never been run for this report.</summary>
    /// <exception cref="BenchmarkException">The file is no stored section.</exception>
    public static StoredSection? Read(string folder, string name)
    {
        string path = PathOf(folder, name);
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<StoredSection>(File.ReadAllText(path), Json) : null;
        }
        catch (JsonException error)
        {
            throw new BenchmarkException($"{path} is not what a run has left there: {error.Message}; delete it and run {name} again.");
        }
    }

    /// <summary>Stores it over what was stored of the benchmark before.</summary>
    public void Write(string folder) => File.WriteAllText(PathOf(folder, Name), JsonSerializer.Serialize(this, Json) + "\n");

    private static string PathOf(string folder, string name) => Path.Combine(folder, $"{name}.json");
}
