using System.Globalization;

namespace MigrationD.Benchmarks.Report;

/// <summary>What was asked for on the command line.</summary>
/// <param name="Json">Print results as JSON.</param>
/// <param name="Rounds">How many counted runs; null for each benchmark's own default.</param>
/// <param name="MemoryMiB">The guests' memory, to try a benchmark out in less time; null for that of the documented figures.</param>
/// <param name="Only">Cases whose name contains this; null for all.</param>
/// <param name="Docs">The folder that the report is written to; null for the docs folder of the tree when everything is run.</param>
internal sealed record RunOptions(bool Json, int? Rounds, int? MemoryMiB, string? Only, string? Docs)
{
    /// <summary>QEMU programs to compare with; empty for those that are found.</summary>
    public IReadOnlyList<string> Qemu { get; init; } = [];

    /// <summary>Other builds of migrationd to measure beside this one: what the report calls each, and the path of its program.</summary>
    public IReadOnlyList<(string Name, string Program)> Builds { get; init; } = [];

    /// <exception cref="BenchmarkException">An option that there is not, or one without its value.</exception>
    public static RunOptions Parse(ReadOnlySpan<string> arguments)
    {
        var options = new RunOptions(false, null, null, null, null);
        for (int i = 0; i < arguments.Length; i++)
        {
            string name = arguments[i];
            string? value = i + 1 < arguments.Length ? arguments[i + 1] : null;
            options = name switch
            {
                "--json" => options with { Json = true },
                "--rounds" => options with { Rounds = Number(name, value) },
                "--memory" => options with { MemoryMiB = Number(name, value) },
                "--only" => options with { Only = value ?? throw new BenchmarkException("--only takes a part of the name of a case.") },
                "--docs" => options with { Docs = value ?? throw new BenchmarkException("--docs takes a folder.") },
                "--qemu" => options with
                {
                    Qemu = [.. options.Qemu, value ?? throw new BenchmarkException("--qemu takes the path of a program.")],
                },
                "--build" => options with { Builds = [.. options.Builds, Build(value)] },
                _ => throw new BenchmarkException($"'{name}' is no option."),
            };
            i += name == "--json" ? 0 : 1;
        }

        return options;
    }

    /// <summary>Whether a case is wanted.</summary>
    public bool Wants(string name) => Only is null || name.Contains(Only, StringComparison.OrdinalIgnoreCase);

    private static (string Name, string Program) Build(string? value) =>
        value?.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } program]
            ? (name, program)
            : throw new BenchmarkException("--build takes NAME=PATH, the path of another build's migrationd.");

    private static int Number(string name, string? value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0
            ? number
            : throw new BenchmarkException($"{name} takes a number from 1 on.");
}
