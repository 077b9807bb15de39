using System.Runtime.InteropServices;
using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Peers;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Modes;

/// <summary>
/// The same guest by post-copy, by precopy and by both, over links of two speeds between two network namespaces: from daemon to daemon, and
/// from QEMU to QEMU where there is one.
/// </summary>
internal sealed class ModesBenchmark : IBenchmark
{
    private const int DefaultRounds = 1;
    private const int DefaultMemoryMiB = 512;
    private const string Us = "migrationd";

    // Of our own pure post-copy's demand faults, and of QEMU's.
    private const double WantedOfOurs = 0.1;
    private const double WantedOfQemus = 0.2;

    // QEMU's guest has one, and a walk of two vCPUs is another walk.
    private const uint Vcpus = 1;
    private const double Hot = 0.1;
    private const double Hottest = 0.001;

    private static readonly string[] Rates = ["10gbit", "1gbit"];

    private static readonly (MigrationMode Mode, string Word)[] Modes =
    [
        (MigrationMode.Postcopy, "post-copy"), (MigrationMode.Hybrid, "hybrid"), (MigrationMode.Precopy, "precopy"),
    ];

    /// <inheritdoc/>
    public string Name => "modes";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        MigrationCase[] cases = [.. Cases((long)memoryMiB << 20).Where(one => options.Wants(one.Name))];
        if (cases.Length == 0)
        {
            throw new BenchmarkException(
                $"no case is called '{options.Only}'; there are: {string.Join("; ", Cases(1L << 30).Select(one => one.Name))}.");
        }

        IReadOnlyList<QemuProgram> qemus = QemuProgram.Find(options.Qemu);
        if (qemus.Count > 0 && memoryMiB > QemuGuestImage.MostMemoryMiB)
        {
            throw new BenchmarkException(
                $"modes takes a --memory of at most {QemuGuestImage.MostMemoryMiB} MiB where there is a QEMU: above it lie a PC's devices.");
        }

        // A namespace would outlive this process.
        using var interrupted = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);
        var results = new List<ModesResult>();
        try
        {
            foreach (string rate in Rates)
            {
                results.AddRange(await MeasureAsync(rate, rounds, cases, qemus, progress, interrupted.Token));
            }
        }
        catch (OperationCanceledException)
        {
            throw new BenchmarkException("Interrupted.");
        }

        return Describe(rounds, memoryMiB, qemus, results);

        void Interrupt(PosixSignalContext context)
        {
            context.Cancel = true;
            interrupted.Cancel();
        }
    }

    private static async Task<IEnumerable<ModesResult>> MeasureAsync(
        string rate,
        int rounds,
        MigrationCase[] cases,
        IReadOnlyList<QemuProgram> qemus,
        Action<string> progress,
        CancellationToken interrupted)
    {
        using NetworkPair network = NetworkPair.Create(rate);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        var run = new MigrationRun(source, destination);
        progress($"modes: {rate}, warming up");
        _ = await run.MeasureAsync(cases[0]).WaitAsync(interrupted);
        var results = new List<ModesResult>();
        foreach (MigrationCase one in cases)
        {
            var ours = new List<MigrationFigures>();
            var theirs = qemus.ToDictionary(qemu => qemu, _ => new List<PeerRun>());
            for (int round = 1; round <= rounds; round++)
            {
                progress($"modes: {rate}, {one.Name}, round {round} of {rounds}");
                ours.Add(await run.MeasureAsync(one).WaitAsync(interrupted));
                foreach (QemuProgram qemu in qemus)
                {
                    progress($"modes: {rate}, {one.Name}, round {round} of {rounds}, {qemu.Version}");
                    interrupted.ThrowIfCancellationRequested();
                    theirs[qemu].Add(await RunQemuAsync(qemu, one, network));
                }
            }

            MigrationFigures median = MigrationFigures.MedianOf(ours);
            results.Add(new ModesResult(rate, one, Us, PeerRun.Of($"{one.Name}, {Us}", median), median));
            results.AddRange(qemus.Select(qemu => new ModesResult(rate, one, qemu.Version, PeerRun.MedianOf(theirs[qemu]), null)));
        }

        return results;
    }

    private static async Task<PeerRun> RunQemuAsync(QemuProgram qemu, MigrationCase wanted, NetworkPair network)
    {
        // For both QEMUs, as the daemons' guests have it.
        new WarmReserve(wanted.ContentBytes * 2).Dispose();
        PeerRun run = await QemuMigration.RunAsync(
            qemu, wanted.PlainSpec("modes"), new QemuCourse(wanted.Mode) { MaxPasses = MigrationRun.MaxRounds, Network = network });
        return run with { Speed = run.Speed with { Name = $"{wanted.Name}, {qemu.Version}" } };
    }

    private static IEnumerable<MigrationCase> Cases(long memory)
    {
        foreach (WalkPattern pattern in new[] { WalkPattern.Uniform, WalkPattern.Zipf, WalkPattern.Sequential })
        {
            foreach ((MigrationMode mode, string word) in Modes)
            {
                yield return Case($"{pattern.ToString().ToLowerInvariant()}, {word}", pattern, memory) with { Mode = mode };
            }
        }
    }

    private static MigrationCase Case(string name, WalkPattern pattern, long memory) =>
        new(name, GuestKind.Kvm, pattern, memory, MigrationCase.NearlyAll(memory)) { VcpuCount = Vcpus };

    private static Section Describe(int rounds, int memoryMiB, IReadOnlyList<QemuProgram> qemus, List<ModesResult> results)
    {
        string memory = Format.Bytes((double)memoryMiB * (1 << 20));
        string versions = string.Join(", ", qemus.Select(one => one.Version));
        string between = qemus.Count == 0 ? "two daemons" : $"two daemons, and by {versions},";
        return new Section(
            "modes",
            $"Before, after or both: a guest of {memory} at 1 and 10 Gbit/s",
            $"""
            A KVM guest of {memory} with one vCPU that writes nearly all of its memory again and again, moved between {between}
            in network namespaces whose link is shaped (tbf). {(rounds == 1 ? "One run" : $"Medians of {rounds} runs")} of
            each. Pure precopy may go {MigrationRun.MaxRounds} rounds and moves the guest then, however long its last pages take.
            """)
        {
            Plots = [.. Plots(results)],
            Tables = [.. Rates.Select(rate => Table(rate, [.. results.Where(one => one.Rate == rate)]))],
            Targets = [.. Targets(results)],
            Notes =
            [
                "Bytes are those on both lanes, pages that went over more than once included. Stale are pages that precopy had brought, "
                    + "the guest had written since, and post-copy brought again.",
                Walked((long)memoryMiB << 20),
                "Pure post-copy does not push in plain sequence but goes on from the blocks in which the guest waited, which can only "
                    + "spare it demand faults: against a plain sequence hybrid would look no worse than it does here. For the zipf walk it "
                    + "hardly matters, because each block has as many hot pages as any other.",
                "A guest that writes all of its memory at random as fast as it can leaves precopy nothing to gain but the bytes that it "
                    + "sends twice; one with a hot part is what precopy is for.",
                .. qemus.Count == 0 ? [NoQemu] : QemuNotes(results),
            ],
            Results = new
            {
                benchmark = "modes",
                rounds,
                memoryMiB,
                qemus,
                skipped = qemus.Count == 0 ? NoQemu : null,
                guests = results.Select(one => new
                {
                    rate = one.Rate,
                    name = one.Case.Name,
                    mover = one.Mover,
                    median = (object?)one.Ours ?? one.Run,
                }),
            },
        };
    }

    private static readonly string NoQemu =
        "QEMU is not compared with: no qemu-system-x86_64 was found. Install one (Debian: apt-get install qemu-system-x86), or name one with "
        + $"--qemu PATH or in {QemuProgram.Variable}.";

    private static string Walked(long memory)
    {
        var hot = new HotPages(Case("zipf", WalkPattern.Zipf, memory));
        return $"The zipf walk has {Format.Percent(Hot)} hot memory: {Format.Percent(hot.StepsTo(Hot))} of its steps go to the hottest "
            + $"{Format.Percent(Hot)} of the pages, {Format.Percent(hot.StepsTo(Hottest))} to the hottest {Format.Percent(Hottest)}. "
            + $"{Format.Percent(1 - hot.Drawn)} of the pages are only visited by the sweep through all memory to which one step of 16 "
            + "belongs; it makes them dirty, too, one after the other.";
    }

    private static IEnumerable<string> QemuNotes(List<ModesResult> results)
    {
        yield return "QEMU's guest has the same walk over as many pages, but runs under `-accel tcg`: it is slower before the migration and "
            + "writes fewer pages in the time of a round. Post-copy has postcopy-preempt; hybrid is post-copy from the second pass on, as "
            + "`virsh migrate --postcopy-after-precopy` orders it; precopy has a downtime-limit of 300 ms, no auto-converge, and a "
            + $"downtime-limit without end once {MigrationRun.MaxRounds} passes have not been enough. There is no limit on bandwidth.";
        yield return "QEMU's demand faults are its postcopy-requests, its bytes ram.transferred, its rounds dirty-sync-count. It looks for dirty "
            + "pages as soon as what it knows to be left fits into the downtime-limit, so its rounds may be shorter than one pass over the "
            + "memory. Which pages were stale it does not tell.";
        foreach (string rate in Rates)
        {
            foreach (ModesResult theirs in results.Where(one => !one.IsOurs && one.Is(rate, WalkPattern.Zipf, MigrationMode.Hybrid)))
            {
                if (theirs.Run.DemandFaults == 0)
                {
                    yield return $"{theirs.Mover}'s hybrid has no demand faults with the zipf walk at {rate}: its precopy converged before "
                        + $"post-copy could begin, and the guest stood still for {Format.Whole(theirs.Run.DowntimeMilliseconds)} ms.";
                }
            }
        }
    }

    private static Table Table(string rate, ModesResult[] results) => new(
        $"At {rate}",
        [
            "walk, mode", "total ms", "downtime ms", "demand faults", "blocktime ms", "MB sent", "rounds", "stale pages",
            "guest time lost ms", "least speed", "largest gap, ms", "steps/s before",
        ],
        [.. results.Select(one => (string[])
        [
            one.Name,
            Format.Whole(one.Run.TotalMilliseconds),
            Format.Number(one.Run.DowntimeMilliseconds),
            Format.Whole(one.Run.DemandFaults),
            Format.Number(one.Run.BlocktimeMilliseconds),
            Format.Whole(one.Run.BytesSent / 1e6),
            Format.Whole(one.Run.Rounds),
            one.Ours is { } ours ? Format.Whole(ours.PagesStale) : "",
            Format.Whole(one.Run.LostMilliseconds),
            Format.Percent(one.Run.LeastSpeed),
            Format.Number(one.Run.LargestGapMilliseconds),
            Format.Whole(one.Run.StepsPerSecondBefore),
        ])]);

    private static IEnumerable<Plot> Plots(List<ModesResult> results) =>
        from rate in Rates
        let series = results.Where(one => one.Rate == rate && one.Case.Pattern == WalkPattern.Zipf).Select(one => one.Run.Speed).ToArray()
        where series.Length > 0
        select new Plot($"modes-{rate}", $"Speed of a guest with a hot part at {rate}", series);

    private const string WhyHybridFaults =
        "Hybrid at 1 Gbit/s: what the guest has written since its page went over is stale. The sweep of the zipf walk alone "
        + "writes about as many pages a second as the link carries, so after the first round nearly every page is. The hot ones go "
        + "first, but one step in five goes elsewhere and waits a millisecond for its page: there is about a fault a millisecond "
        + "for as long as pages are missing, as in post-copy alone. Where the link carries more than the guest writes, as at 10 "
        + "Gbit/s, little is stale.";

    private static IEnumerable<Target> Targets(List<ModesResult> results)
    {
        foreach (string rate in Rates)
        {
            ModesResult? hybrid = results.Find(one => one.IsOurs && one.Is(rate, WalkPattern.Zipf, MigrationMode.Hybrid));
            foreach ((MigrationMode mode, string word) in Modes)
            {
                foreach (ModesResult peer in results.Where(one => one.Is(rate, WalkPattern.Zipf, mode)))
                {
                    // Precopy has none, and neither has QEMU's hybrid when its precopy converges first.
                    if (hybrid is not null && peer != hybrid && peer.Run.DemandFaults > 0)
                    {
                        yield return Target.AtMost(
                            $"zipf walk at {rate}: demand faults, {Us}'s hybrid to {peer.Mover}'s {word}",
                            hybrid.Run.DemandFaults / peer.Run.DemandFaults,
                            peer.IsOurs ? WantedOfOurs : WantedOfQemus) with { Shortfall = WhyHybridFaults };
                    }
                }
            }
        }
    }
}
