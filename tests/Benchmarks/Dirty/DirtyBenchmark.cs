using MigrationD.Benchmarks.Report;
using MigrationD.Guest;
using MigrationD.Guest.Machine;

namespace MigrationD.Benchmarks.Dirty;

/// <summary>What it costs a guest that its writes are logged, and what the log's calls take.</summary>
internal sealed class DirtyBenchmark : IBenchmark
{
    private const int DefaultRounds = 3;
    private const int DefaultMemoryMiB = 1024;

    private sealed record Result(DirtyCase Case, DirtyFigures Figures)
    {
        public double MicrosecondsPerPage => Figures.Harvest * 1000 / Math.Max(1, Figures.PagesPerHarvest);
    }

    /// <inheritdoc/>
    public string Name => "dirty";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        bool hasKvm = KvmProbe.Query().IsUsable;
        DirtyCase[] cases = [.. Cases().Where(one => options.Wants(one.Name) && (hasKvm || one.Kind != GuestKind.Kvm))];
        if (cases.Length == 0)
        {
            string names = string.Join("; ", Cases().Select(one => one.Name));
            throw new BenchmarkException($"nothing is called '{options.Only}'; there are: {names}.");
        }

        var runs = cases.ToDictionary(one => one, _ => new List<DirtyFigures>());

        // Round 0 warms the code and the memory up and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            foreach (DirtyCase one in cases)
            {
                progress($"dirty: round {round} of {rounds}, {one.Name}");
                DirtyFigures figures = DirtyRun.Measure(one, (long)memoryMiB << 20);
                if (round != 0)
                {
                    runs[one].Add(figures);
                }
            }
        }

        return Describe(rounds, memoryMiB, hasKvm, [.. cases.Select(one => new Result(one, DirtyFigures.MedianOf(runs[one])))]);
    }

    private static IEnumerable<DirtyCase> Cases()
    {
        foreach (GuestKind kind in new[] { GuestKind.Workload, GuestKind.Kvm })
        {
            yield return new(kind, WalkPattern.Uniform);
            yield return new(kind, WalkPattern.Zipf);
            yield return new(kind, WalkPattern.Sequential);
        }

        yield return new(GuestKind.Kvm, WalkPattern.Uniform, WriteProtected: true);
        yield return new(GuestKind.Kvm, WalkPattern.Zipf, WriteProtected: true);
    }

    private static Section Describe(int rounds, int memoryMiB, bool hasKvm, Result[] results) => new(
        "dirty",
        "What a dirty log costs the guest",
        $"""
        Guests of {memoryMiB} MiB with {DirtyRun.Vcpus} vCPUs whose walk writes nearly all of it, in this process, on
        {Environment.ProcessorCount} cores. Each speed is over {DirtyRun.Window.TotalSeconds:0.#} s of the same run and stands as a share of
        that without a log: "armed" from arming on without a harvest, "harvested" with a harvest every
        {DirtyRun.Interval.TotalMilliseconds:0} ms. A workload guest's memory is write-protected by a userfaultfd (WP_ASYNC) and scanned
        (PAGEMAP_SCAN), a KVM guest has KVM's dirty log, protected by hand; the rows with WP_ASYNC are KVM guests with the log of the other
        kind. Medians of {rounds} rounds after one that is not counted.
        """)
    {
        Tables =
        [
            new Table(
                "The guest",
                ["guest", "armed", "harvested", "after", "steps/s without", "pages a harvest", "huge before", "huge after the harvests"],
                [.. results.Select(one => (string[])
                [
                    one.Case.Name,
                    Format.Percent(one.Figures.ArmedSpeed / one.Figures.Speed),
                    Format.Percent(one.Figures.HarvestedSpeed / one.Figures.Speed),
                    Format.Percent(one.Figures.SpeedAfter / one.Figures.Speed),
                    Format.Whole(one.Figures.Speed),
                    Format.Whole(one.Figures.PagesPerHarvest),
                    Format.Percent(one.Figures.HugeBefore),
                    Format.Percent(one.Figures.HugeArmed),
                ])]),
            new Table(
                "The calls, ms for each GiB of the guest",
                [
                    "guest", "harvest", "longest harvest", "µs for each page in it", "last harvest, paused", "harvest of nothing", "arm",
                    "disarm",
                ],
                [.. results.Select(one => (string[])
                [
                    one.Case.Name,
                    Format.Number(one.Figures.Harvest),
                    Format.Number(one.Figures.LongestHarvest),
                    Format.Number(one.MicrosecondsPerPage * memoryMiB / 1024),
                    Format.Number(one.Figures.LastHarvest),
                    Format.Number(one.Figures.CleanHarvest),
                    Format.Number(one.Figures.Arm),
                    Format.Number(one.Figures.Disarm),
                ])]),
        ],
        Notes =
        [
            "The last harvest is the only call that a guest waits for; arming and disarming are done while it runs.",
            .. hasKvm ? (string[])[] : ["KVM guests are left out: /dev/kvm is not usable here."],
        ],
        Results = new
        {
            benchmark = "dirty",
            rounds,
            memoryMiB,
            guests = results.Select(one => new { name = one.Case.Name, figures = one.Figures }),
        },
    };
}
