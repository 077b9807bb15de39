using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Scale;

/// <summary>What larger guests and more guests at once do to time, downtime and the latency of faults.</summary>
internal sealed class ScaleBenchmark : IBenchmark
{
    private const int DefaultRounds = 1;
    private const int DefaultLargestMiB = 8192;
    private const long MiB = 1 << 20;
    private const string FixedSeries = ", fixed working set";
    private const long FixedWorkingSet = 128 * MiB;
    private const long LargestFull = 4096 * MiB;
    private const long TogetherMemory = 512 * MiB;
    private const int MostTogether = 4;

    // What counts as the same on a machine that is never quite quiet.
    private const double SameDowntime = 1.25;

    // Beside the memory of the guests, for the two daemons.
    private const long RoomForDaemons = 512 * MiB;
    private static readonly long[] Sizes = [256 * MiB, 1024 * MiB, 2048 * MiB, 4096 * MiB, 8192 * MiB];

    /// <summary>Guests of one kind that move at the same time; most often one.</summary>
    private sealed record Group(string Series, string Name, MigrationCase Case, int Guests, bool Full)
    {
        public long Needs => (2 * Guests * (Full ? Case.MemoryBytes : Case.WorkingSetBytes)) + RoomForDaemons;
    }

    private sealed record Result(string Series, string Name, long MemoryBytes, int Guests, double AllMilliseconds, MigrationFigures Worst)
    {
        public double GigabytesPerSecond => Worst.Gigabytes * Guests / AllMilliseconds * 1e3;
    }

    /// <inheritdoc/>
    public string Name => "scale";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--max-outgoing", "64");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        var run = new MigrationRun(source, destination);
        var results = new List<Result>();
        var left = new List<string>();
        foreach (Group group in Groups(options))
        {
            if (HostMemory.Available() < group.Needs)
            {
                left.Add($"{group.Name} was left out: it needs {Format.Bytes(group.Needs)} of memory for both sides, "
                    + $"{Format.Bytes(HostMemory.Available())} were free.");
                continue;
            }

            var runs = new List<(double All, MigrationFigures Worst)>();

            // Round 0 warms the code and the memory up and is not counted.
            for (int round = 0; round <= rounds; round++)
            {
                progress($"scale: {group.Name}, round {round} of {rounds}");
                (IReadOnlyList<MigrationFigures> each, double all) =
                    await run.MeasureTogetherAsync([.. Enumerable.Repeat(group.Case, group.Guests)]);
                if (round != 0)
                {
                    runs.Add((all, MigrationFigures.WorstOf(each)));
                }
            }

            results.Add(new Result(
                group.Series,
                group.Name,
                group.Case.MemoryBytes,
                group.Guests,
                Median.Of(runs.Select(one => one.All)),
                MigrationFigures.MedianOf([.. runs.Select(one => one.Worst)])));
        }

        return Describe(rounds, results, left);
    }

    private static IEnumerable<Group> Groups(RunOptions options)
    {
        long largest = (options.MemoryMiB ?? DefaultLargestMiB) * MiB;
        return All().Where(one => one.Case.MemoryBytes <= largest && options.Wants(one.Name));
    }

    private static IEnumerable<Group> All()
    {
        foreach (GuestKind kind in new[] { GuestKind.Workload, GuestKind.Kvm })
        {
            string name = kind == GuestKind.Kvm ? "kvm" : "workload";
            foreach (long size in Sizes)
            {
                yield return One(
                    $"{name}{FixedSeries}",
                    $"{name}, {Format.Bytes(size)}, {Format.Bytes(FixedWorkingSet)} in use",
                    kind,
                    size,
                    FixedWorkingSet,
                    1,
                    full: false);
            }
        }

        foreach (long size in Sizes.Where(size => size <= LargestFull))
        {
            string name = $"workload, {Format.Bytes(size)}, all in use";
            yield return One("full", name, GuestKind.Workload, size, MigrationCase.NearlyAll(size), 1, full: true);
        }

        for (int guests = 1; guests <= MostTogether; guests++)
        {
            yield return One(
                "together",
                $"workload, {guests} x {Format.Bytes(TogetherMemory)} at once, all in use",
                GuestKind.Workload,
                TogetherMemory,
                MigrationCase.NearlyAll(TogetherMemory),
                guests,
                full: true);
        }
    }

    private static Group One(string series, string name, GuestKind kind, long memory, long workingSet, int guests, bool full) =>
        new(series, name, new MigrationCase(name, kind, WalkPattern.Uniform, memory, workingSet), guests, full);

    private static Section Describe(int rounds, List<Result> results, List<string> left) => new(
        "scale",
        "Size and number of guests",
        $"""
        Guests with {MigrationCase.Vcpus} vCPUs and a uniform walk, moved between two daemons over loopback on
        {Environment.ProcessorCount} cores: with a fixed working set in memories of several sizes, with all memory in use, and several
        guests at once. Medians of {rounds} runs after one that is not counted; of guests that move at once the total is from the first
        start to the last end, and the other figures are the worst guest's.
        """)
    {
        Tables =
        [
            new Table(
                "",
                [
                    "guests", "downtime to smallest", "total ms", "GB/s", "downtime ms", "demand faults", "fault p50, µs", "fault p99, µs",
                    "largest gap, ms",
                ],
                [.. results.Select(one => (string[])
                [
                    one.Name,
                    Format.Number(one.Worst.DowntimeMilliseconds / Smallest(one, results).Worst.DowntimeMilliseconds),
                    Format.Whole(one.AllMilliseconds),
                    Format.Number(one.GigabytesPerSecond),
                    Format.Number(one.Worst.DowntimeMilliseconds),
                    Format.Whole(one.Worst.DemandFaults),
                    Format.Number(one.Worst.FaultMicroseconds.P50),
                    Format.Number(one.Worst.FaultMicroseconds.P99),
                    Format.Number(one.Worst.LargestGapMilliseconds),
                ])]),
        ],
        Targets = [.. Targets(results)],
        Notes = left,
        Results = new { benchmark = "scale", rounds, guests = results, leftOut = left },
    };

    private static Result Smallest(Result one, List<Result> results) => results.First(other => other.Series == one.Series);

    private const string WhySizeCounts =
        "Downtime of large memories: one run of each size counts here, and single runs of one size differ by "
        + "more than the sizes do; nothing between the pause and Run depends on how much memory there is.";

    private static IEnumerable<Target> Targets(List<Result> results)
    {
        foreach (IGrouping<string, Result> series in results.GroupBy(one => one.Series)
            .Where(one => one.Key.EndsWith(FixedSeries, StringComparison.Ordinal)))
        {
            (Result least, Result most) = (series.MinBy(one => one.MemoryBytes)!, series.MaxBy(one => one.MemoryBytes)!);
            yield return Target.AtMost($"{most.Name}: downtime", most.Worst.DowntimeMilliseconds, 5, "ms")
                with { Shortfall = WhySizeCounts };
            if (most != least)
            {
                yield return Target.AtMost(
                    $"{most.Name}: downtime to that of {Format.Bytes(least.MemoryBytes)}",
                    most.Worst.DowntimeMilliseconds / least.Worst.DowntimeMilliseconds,
                    SameDowntime) with { Shortfall = WhySizeCounts };
            }
        }
    }
}
