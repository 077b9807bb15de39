using MigrationD.Benchmarks.Lanes;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>Guests of 1 GiB, every page with content, moved between two real daemons over loopback.</summary>
internal sealed class MigrateBenchmark : IBenchmark
{
    private const int DefaultRounds = 3;
    private const int DefaultMemoryMiB = 1024;
    private const int RawMessageBytes = 2 << 20;
    private const long SmallMemory = 16 << 20;
    private const double AllocationLimit = 1e6;

    /// <inheritdoc/>
    public string Name => "migrate";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        MigrationCase[] cases = [.. Cases((long)memoryMiB << 20).Where(one => options.Wants(one.Name))];
        if (cases.Length == 0)
        {
            string names = string.Join("; ", Cases(1L << 30).Select(one => one.Name));
            throw new BenchmarkException($"no guest is called '{options.Only}'; there are: {names}.");
        }

        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        var run = new MigrationRun(source, destination);
        var raws = new List<Bulk>();
        var runs = cases.ToDictionary(one => one, _ => new List<MigrationFigures>());

        // What a migration allocates whatever its size, by the kind of guest: measured with one that has next to no memory.
        MigrationCase[] smallCases =
        [
            .. cases.Where(one => !one.Paused).Select(one => one.Kind).Distinct()
                .Select(kind => new MigrationCase(
                    $"small {kind}", kind, WalkPattern.Uniform, SmallMemory, MigrationCase.NearlyAll(SmallMemory))),
        ];
        var small = smallCases.ToDictionary(one => one.Kind, _ => new List<MigrationFigures>());

        // Round 0 warms the code and the memory up and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            progress($"migrate: round {round} of {rounds}, raw socket");
            Bulk raw = MeasureRaw(memoryMiB);
            foreach (MigrationCase one in cases)
            {
                progress($"migrate: round {round} of {rounds}, {one.Name}");
                MigrationFigures figures = await run.MeasureAsync(one);
                if (round != 0)
                {
                    runs[one].Add(figures);
                }
            }

            foreach (MigrationCase one in smallCases)
            {
                progress($"migrate: round {round} of {rounds}, {one.Name}");
                MigrationFigures figures = await run.MeasureAsync(one);
                if (round != 0)
                {
                    small[one.Kind].Add(figures);
                }
            }

            if (round != 0)
            {
                raws.Add(raw);
            }
        }

        Bulk limit = Bulk.MedianOf(raws);
        var setup = new SetupAllocation(small.ToDictionary(one => one.Key, one => MigrationFigures.MedianOf(one.Value)));
        return Describe(rounds, memoryMiB, limit, setup, [.. runs.Select(one => (one.Key, MigrationFigures.MedianOf(one.Value)))], runs);
    }

    private static IEnumerable<MigrationCase> Cases(long memory)
    {
        long workingSet = MigrationCase.NearlyAll(memory);
        foreach ((string kind, GuestKind guest) in new[] { ("workload", GuestKind.Workload), ("kvm", GuestKind.Kvm) })
        {
            yield return new($"{kind}, uniform", guest, WalkPattern.Uniform, memory, workingSet);
            yield return new($"{kind}, zipf", guest, WalkPattern.Zipf, memory, workingSet);
            yield return new($"{kind}, sequential", guest, WalkPattern.Sequential, memory, workingSet);
        }

        yield return new("paused", GuestKind.Workload, WalkPattern.Uniform, memory, workingSet, Paused: true);
    }

    private static Bulk MeasureRaw(int memoryMiB)
    {
        // Gone again before the guests come: both together may be more than the machine has.
        using var peer = new PeerProcess(memoryMiB);
        using var memory = new WarmMemory(memoryMiB << 20);
        _ = RawBulk.Measure(peer, memory, RawMessageBytes);
        return RawBulk.Measure(peer, memory, RawMessageBytes);
    }

    private static Section Describe(
        int rounds,
        int memoryMiB,
        Bulk raw,
        SetupAllocation setup,
        (MigrationCase Case, MigrationFigures Figures)[] results,
        Dictionary<MigrationCase, List<MigrationFigures>> runs)
    {
        (MigrationCase Case, MigrationFigures Figures)[] running = [.. results.Where(one => !one.Case.Paused)];
        string memory = Format.Bytes((double)memoryMiB * (1 << 20));
        return new Section(
            "migrate",
            $"Migrations of a guest of {memory}",
            $"""
            Guests of {memory} with {MigrationCase.Vcpus} vCPUs whose walk covers nearly all of it, every page with content, move
            between two daemons over loopback on {Environment.ProcessorCount} cores, a fresh guest for each run. Medians of {rounds}
            runs after one that is not counted. The limit is a raw blocking socket with messages of {Format.Bytes(RawMessageBytes)}
            between two processes with as much memory, in the same run: {Format.Number(raw.GigabytesPerSecond)} GB/s and
            {Format.Number(raw.CpuSecondsPerGigabyte)} CPU s/GB of both ends. "Paused" is a guest that stands still while it moves, so
            that nothing but the push runs; in every other row the guest's own vCPUs compete for the same cores and count in the CPU
            time.
            """)
        {
            Plots = [.. Plots(running)],
            Tables =
            [
                .. Transfer(raw, results),
                .. running.Length > 0 ? [Faults(running), Speed(running)] : (Table[])[],
                Memory(setup, results),
            ],
            Targets = [.. Targets(raw, setup, results)],
            Notes =
            [
                .. running.Length > 0
                    ?
                    [
                        "A fault's latency is what the destination counts, from reading the userfault until its page is placed; the "
                            + "kernel's way to the reader and back to the vCPU comes on top.",
                        "The largest gap is what the guest's own clock saw since it was created; what it had seen before the migration "
                            + "stands beside it, and where the two are equal the migration's own gap is smaller than that.",
                        setup.Note(),
                        "Guests are created in, and arrive in, memory that the host of this machine has backed: where it has not, each page "
                            + "costs 8 µs more on its first touch, which is more than everything else of a migration together.",
                        "The speed is asked for every 25 ms; a KVM guest reports every 50 ms, so its figures for 100 ms are read between "
                            + "reports.",
                    ]
                    : (string[])[],
            ],
            Results = new
            {
                benchmark = "migrate",
                rounds,
                memoryMiB,
                rawSocket = raw,
                setup = setup.Small,
                guests = results.Select(one => new { name = one.Case.Name, median = one.Figures, runs = runs[one.Case] }),
            },
        };
    }

    private static IEnumerable<Plot> Plots((MigrationCase Case, MigrationFigures Figures)[] running)
    {
        foreach ((GuestKind kind, string name, string title) in new[]
        {
            (GuestKind.Workload, "speed-workload", "Workload guest"), (GuestKind.Kvm, "speed-kvm", "KVM guest"),
        })
        {
            SpeedSeries[] series = [.. running.Where(one => one.Case.Kind == kind).Select(one => one.Figures.Speed).OfType<SpeedSeries>()];
            if (series.Length > 0)
            {
                yield return new Plot(name, $"{title}: speed before, during and after its migration", series);
            }
        }
    }

    private static Table[] Transfer(Bulk raw, (MigrationCase Case, MigrationFigures Figures)[] results) =>
    [
        new(
            "Transfer",
            ["guest", "GB/s to raw", "CPU to raw", "total ms", "GB/s", "CPU s/GB", "downtime ms", "demand faults", "blocktime ms"],
            [.. results.Select(one => (string[])
            [
                one.Case.Name,
                Format.Number(one.Figures.GigabytesPerSecond / raw.GigabytesPerSecond),
                Format.Number(one.Figures.CpuSecondsPerGigabyte / raw.CpuSecondsPerGigabyte),
                Format.Whole(one.Figures.TotalMilliseconds),
                Format.Number(one.Figures.GigabytesPerSecond),
                Format.Number(one.Figures.CpuSecondsPerGigabyte),
                Format.Number(one.Figures.DowntimeMilliseconds),
                Format.Whole(one.Figures.DemandFaults),
                Format.Number(one.Figures.BlocktimeMilliseconds),
            ])]),
    ];

    private static Table Faults((MigrationCase Case, MigrationFigures Figures)[] running) => new(
        "Latency of demand faults under the push, µs",
        ["guest", "p50", "p90", "p99", "p99.9", "max"],
        [.. running.Select(one => (string[])
        [
            one.Case.Name,
            Format.Number(one.Figures.FaultMicroseconds.P50),
            Format.Number(one.Figures.FaultMicroseconds.P90),
            Format.Number(one.Figures.FaultMicroseconds.P99),
            Format.Number(one.Figures.FaultMicroseconds.P999),
            Format.Number(one.Figures.FaultMicroseconds.Max),
        ])]);

    private static Table Speed((MigrationCase Case, MigrationFigures Figures)[] running) => new(
        "What the guest sees",
        ["guest", "least speed in 100 ms", "ms until 90 % again", "speed 2 s later", "largest gap, ms", "gap before, ms", "steps/s before"],
        [.. running.Select(one => (string[])
        [
            one.Case.Name,
            Format.Percent(one.Figures.LeastSpeed),
            one.Figures.SlowMilliseconds is { } slow ? Format.Whole(slow) : "not within 2 s",
            Format.Percent(one.Figures.SpeedLater),
            Format.Number(one.Figures.LargestGapMilliseconds),
            Format.Number(one.Figures.LargestGapBeforeMilliseconds),
            Format.Whole(one.Figures.Speed?.Before() ?? 0),
        ])]);

    private static Table Memory(SetupAllocation setup, (MigrationCase Case, MigrationFigures Figures)[] results) => new(
        "Huge pages, placing and managed allocation",
        [
            "guest", "huge before", "on arrival", "2 s later", "moved whole", "moved 4 KiB", "copied", "redundant", "source, KiB/GB",
            "destination, KiB/GB",
        ],
        [.. results.Select(one => (string[])
        [
            one.Case.Name,
            Format.Percent(one.Figures.HugeOnSource),
            Format.Percent(one.Figures.HugeOnArrival),
            Format.Percent(one.Figures.HugeLater),
            Format.Whole(one.Figures.Moves2M),
            Format.Whole(one.Figures.Moves4K),
            Format.Whole(one.Figures.Copies),
            Format.Whole(one.Figures.PagesRedundant),
            one.Case.Paused ? "" : Format.Number(setup.On(one).Source / 1024),
            one.Case.Paused ? "" : Format.Number(setup.On(one).Destination / 1024),
        ])]);

    private const string WhyPushIsSlower =
        "Pushing: the raw socket receives into memory that is there, while the destination's memory is new: "
        + "the kernel clears each huge page before a byte is received into it (`place`, refill), the source "
        + "reads every page once more to find the zeros, and a move changes page tables and flushes them on "
        + "both cores. All of that runs on the two cores that also copy.";

    private const string WhyFaultsWait =
        "Faults: two daemons, two vCPUs and the push share two cores, so a fault may find none free even for "
        + "a thread that goes before all others; the sequential walks fault seldom, and each time through "
        + "colder paths.";

    private const string WhyTheGuestStandsStill =
        "Downtime: loading the state waits for the guest's first block of 2 MiB, which is sent and placed "
        + "meanwhile, and for the threads of two daemons to be scheduled on two cores; single runs differ by "
        + "some milliseconds.";

    private static IEnumerable<Target> Targets(Bulk raw, SetupAllocation setup, (MigrationCase Case, MigrationFigures Figures)[] results)
    {
        foreach ((_, MigrationFigures figures) in results.Where(one => one.Case.Paused))
        {
            double ratio = figures.GigabytesPerSecond / raw.GigabytesPerSecond;
            yield return Target.AtLeast("push, source memory to destination memory: GB/s to raw socket", ratio, 0.8)
                with { Shortfall = WhyPushIsSlower };
            yield return Target.AtMost("push: CPU s/GB to raw socket", figures.CpuSecondsPerGigabyte / raw.CpuSecondsPerGigabyte, 1.3)
                with { Shortfall = WhyPushIsSlower };
        }

        (MigrationCase Case, MigrationFigures Figures)[] running = [.. results.Where(one => !one.Case.Paused)];
        if (running.Length == 0)
        {
            yield break;
        }

        double[] Each(Func<MigrationFigures, double> figure) => [.. running.Select(one => figure(one.Figures))];
        yield return Target.AtMostEach("fault under push, p50", Each(figures => figures.FaultMicroseconds.P50), 100, "µs")
            with { Shortfall = WhyFaultsWait };
        yield return Target.AtMostEach("fault under push, p99", Each(figures => figures.FaultMicroseconds.P99), 1000, "µs")
            with { Shortfall = WhyFaultsWait };
        yield return Target.AtMostEach("downtime", Each(figures => figures.DowntimeMilliseconds), 5, "ms")
            with { Shortfall = WhyTheGuestStandsStill };
        yield return Target.AtLeastEach("huge pages kept", Each(figures => figures.HugeKept * 100), 95, "%");
        yield return Target.AtMostEach(
            "managed allocation, the larger side",
            [.. running.Select(one => Math.Max(setup.On(one).Source, setup.On(one).Destination) / AllocationLimit)],
            1,
            "MB/GB");
    }
}
