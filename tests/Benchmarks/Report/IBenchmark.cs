namespace MigrationD.Benchmarks.Report;

/// <summary>One subcommand.</summary>
internal interface IBenchmark
{
    /// <summary>The word that runs it.</summary>
    string Name { get; }

    /// <summary>Runs it to its end; says on the way how far it is.</summary>
    Section Measure(RunOptions options, Action<string> progress);
}
