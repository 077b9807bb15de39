using Microsoft.AspNetCore.Builder;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;

namespace MigrationD.Benchmarks.Start;

/// <summary>What native code changes about a program that is started: as it is built here, and as it is shipped, in turns.</summary>
internal sealed class StartBenchmark : IBenchmark
{
    private const int DefaultRounds = 5;

    // Of the build beside the benchmarks, what a host would not need.
    private static readonly string[] NotOfTheProgram = [".pdb", ".xml"];

    /// <inheritdoc/>
    public string Name => "start";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        progress("start: native code");
        MigrationdProgram native = await NativeProgram.GetAsync();
        var runs = new[] { new StartRun(MigrationdProgram.OfThisTree), new StartRun(native) };
        var figures = new List<StartFigures>[] { [], [] };

        // Round 0 brings the files into memory and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            for (int program = 0; program < runs.Length; program++)
            {
                progress($"start: {(program == 0 ? "JIT" : "native")}, round {round} of {rounds}");
                StartFigures one = await runs[program].MeasureAsync();
                if (round != 0)
                {
                    figures[program].Add(one);
                }
            }
        }

        return Describe(rounds, StartFigures.MedianOf(figures[0]), StartFigures.MedianOf(figures[1]), SizeOfJit(), SizeOf(native.Folder));
    }

    private static Section Describe(int rounds, StartFigures jit, StartFigures native, long jitSize, long nativeSize)
    {
        return new Section(
            "start",
            "Native code, and code that is compiled while it runs",
            $"""
            The program as it is built in a working tree, compiled while it runs (JIT), and the native program, which is what is shipped; in
            turns in one run, on {Environment.ProcessorCount} cores. Ready is from the start of a daemon until it answers, looked for every
            20 ms; `health` is the whole command; the busy machine has {BusyMachine.ThreadsPerCore} threads for each core that only compute.
            The first migration is that of the demo's guest (kvm, 256 MiB, 2 vCPUs, uniform walk over 192 MiB) between two daemons that
            nothing was asked of before; unrehearsed is without the migration of a small guest to itself that a daemon begins with. Memory is
            of a daemon without guests, as the kernel counts it for the process; the size is of all that a host needs besides its own
            libraries: for the JIT that is .NET and ASP.NET Core too. Medians of {rounds} rounds after one that is not counted.
            """)
        {
            Tables =
            [
                new Table(
                    "",
                    ["", "JIT", "native", "native to JIT"],
                    [
                        Row("ready, quiet machine, ms", one => one.ReadyQuiet),
                        Row("ready, busy machine, ms", one => one.ReadyBusy),
                        Row("`health`, quiet machine, ms", one => one.HealthQuiet),
                        Row("`health`, busy machine, ms", one => one.HealthBusy),
                        Row("first migration, post-copy: downtime, ms", one => one.Postcopy),
                        Row("first migration, hybrid: downtime, ms", one => one.Hybrid),
                        Row("first migration, post-copy, unrehearsed: downtime, ms", one => one.PostcopyUnrehearsed),
                        Row("first migration, hybrid, unrehearsed: downtime, ms", one => one.HybridUnrehearsed),
                        Row("resident memory, MB", one => one.ResidentBytes / 1e6),
                        Numbers("size, MB", jitSize / 1e6, nativeSize / 1e6),
                    ]),
            ],
            Results = new { benchmark = "start", rounds, jit, native, jitSize, nativeSize },
        };

        string[] Row(string name, Func<StartFigures, double> figure) => Numbers(name, figure(jit), figure(native));

        static string[] Numbers(string name, double jit, double native) =>
            [name, Format.Number(jit), Format.Number(native), Format.Number(native / jit)];
    }

    private static long SizeOfJit() =>
        Files(AppContext.BaseDirectory)
            .Where(file => !file.Name.StartsWith("MigrationD.Benchmarks", StringComparison.Ordinal))
            .Where(file => !NotOfTheProgram.Contains(file.Extension))
            .Sum(file => file.Length)
        + SizeOf(Path.GetDirectoryName(typeof(object).Assembly.Location)!)
        + SizeOf(Path.GetDirectoryName(typeof(WebApplication).Assembly.Location)!);

    private static long SizeOf(string folder) => Files(folder).Sum(file => file.Length);

    private static IEnumerable<FileInfo> Files(string folder) => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories);
}
