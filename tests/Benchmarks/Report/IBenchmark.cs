namespace MigrationD.Benchmarks.Report;

/// <summary>One subcommand.</summary>
internal interface IBenchmark
{
    /// <summary>The word that runs it.</summary>
    string Name { get; }

    /// <summary>How much memory of this machine it uses at a time, in bytes; it is warmed up before the first benchmark runs.</summary>
    long MemoryNeeded(RunOptions options) => 0;

    /// <summary>Runs it to its end; says on the way how far it is.</summary>
    Section Measure(RunOptions options, Action<string> progress);
}
