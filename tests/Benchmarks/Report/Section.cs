namespace MigrationD.Benchmarks.Report;

/// <summary>What one benchmark has to say.</summary>
/// <param name="Name">The word that runs it.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Intro">What was measured and how; one or more paragraphs of Markdown.</param>
internal sealed record Section(string Name, string Title, string Intro)
{
    public IReadOnlyList<Table> Tables { get; init; } = [];

    public IReadOnlyList<Target> Targets { get; init; } = [];

    public IReadOnlyList<Plot> Plots { get; init; } = [];

    /// <summary>What the figures do not say by themselves: what is over its target and why, what could not be measured.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The same as an object, for --json.</summary>
    public required object Results { get; init; }
}
