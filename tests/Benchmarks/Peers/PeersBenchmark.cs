using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Guest.Machine;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Peers;

/// <summary>The same guest with the same walk, moved by QEMU and by migrationd in turns.</summary>
internal sealed class PeersBenchmark : IBenchmark
{
    private const int DefaultRounds = 3;
    private const int DefaultMemoryMiB = 1024;
    private static readonly string WhatToInstall =
        "No qemu-system-x86_64 was found: install one (Debian: apt-get install qemu-system-x86), or name one with --qemu PATH or in "
        + $"{QemuProgram.Variable}.";

    /// <summary>The walk that the targets are for: pages touched at random.</summary>
    private const WalkPattern TargetPattern = WalkPattern.Uniform;

    private sealed record Contender(string Name, QemuProgram? Qemu, GuestKind Kind)
    {
        public bool IsOurs => Qemu is null;
    }

    private sealed record Result(WalkPattern Pattern, Contender Contender, PeerRun Median, IReadOnlyList<PeerRun> Runs);

    /// <inheritdoc/>
    public string Name => "peers";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress)
    {
        IReadOnlyList<QemuProgram> programs = QemuProgram.Find(options.Qemu);
        return programs.Count > 0
            ? MeasureAsync(options, programs, progress).GetAwaiter().GetResult()
            : new Section(Name, Title(DefaultMemoryMiB), WhatToInstall) { Results = new { benchmark = "peers", skipped = WhatToInstall } };
    }

    private static async Task<Section> MeasureAsync(RunOptions options, IReadOnlyList<QemuProgram> programs, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        if (memoryMiB > QemuGuestImage.MostMemoryMiB)
        {
            throw new BenchmarkException(
                $"peers takes a --memory of at most {QemuGuestImage.MostMemoryMiB} MiB: above it lie a PC's devices.");
        }

        WalkPattern[] every = [WalkPattern.Uniform, WalkPattern.Zipf, WalkPattern.Sequential];
        WalkPattern[] patterns = [.. every.Where(one => options.Wants(Word(one)))];
        if (patterns.Length == 0)
        {
            throw new BenchmarkException($"no walk is called '{options.Only}': {string.Join(", ", every.Select(Word))}.");
        }

        Contender[] contenders =
        [
            .. programs.Select(program => new Contender(program.Version, program, GuestKind.Kvm)),
            new("migrationd, workload", null, GuestKind.Workload),
            .. KvmProbe.Query().IsUsable ? [new Contender("migrationd, kvm", null, GuestKind.Kvm)] : Array.Empty<Contender>(),
        ];
        var runs = new Dictionary<(WalkPattern, Contender), List<PeerRun>>();
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        var ours = new MigrationRun(source, destination);

        // Round 0 warms the code and the memory up and is not counted. Turns alternate, so that what the machine does meanwhile hits all.
        for (int round = 0; round <= rounds; round++)
        {
            foreach (WalkPattern pattern in patterns)
            {
                foreach (Contender one in round % 2 == 0 ? contenders : contenders.Reverse())
                {
                    progress($"peers: round {round} of {rounds}, {Word(pattern)}, {one.Name}");
                    PeerRun run = await RunAsync(ours, one, pattern, (long)memoryMiB << 20);
                    if (round != 0)
                    {
                        (runs.TryGetValue((pattern, one), out List<PeerRun>? list) ? list : runs[(pattern, one)] = []).Add(run);
                    }
                }
            }
        }

        Result[] results =
        [
            .. from pattern in patterns
               from contender in contenders
               let all = runs[(pattern, contender)]
               select new Result(pattern, contender, PeerRun.MedianOf(all), all),
        ];
        return Describe(rounds, memoryMiB, programs, results);
    }

    private static async Task<PeerRun> RunAsync(MigrationRun ours, Contender contender, WalkPattern pattern, long memory)
    {
        var wanted = new MigrationCase(contender.Name, contender.Kind, pattern, memory, MigrationCase.NearlyAll(memory)) { VcpuCount = 1 };
        return contender.Qemu is { } qemu
            ? await QemuMigration.RunAsync(qemu, wanted.PlainSpec("peer"), new QemuCourse(MigrationMode.Postcopy))
            : PeerRun.Of(contender.Name, await ours.MeasureAsync(wanted));
    }

    private static Section Describe(int rounds, int memoryMiB, IReadOnlyList<QemuProgram> programs, Result[] results)
    {
        string memory = Format.Bytes((double)memoryMiB * (1 << 20));
        return new Section(
            "peers",
            Title(memoryMiB),
            $"""
            A guest of {memory} with one vCPU whose walk reads, checks and rewrites the pages of nearly all of it, moved over loopback by
            {string.Join(", ", programs.Select(one => one.Version))} and by migrationd in turns: medians of {rounds} runs of each after one
            that is not counted, on {Environment.ProcessorCount} cores. QEMU's guest is migrationd's own KVM guest, the same machine code
            without any operating system, started by a boot program of some forty instructions. QEMU runs it with `-accel tcg`
            (translated, not on the processor itself) and migrates it with postcopy-ram, postcopy-preempt and postcopy-blocktime, no limit
            on bandwidth, and post-copy asked for at once.
            """)
        {
            Tables = [.. Tables(results)],
            Targets = [.. Targets(results)],
            Plots = [.. Plots(results)],
            Notes =
            [
                "QEMU's guest is translated and so slower before the migration (steps/s). While pages are missing a step waits for its "
                    + "page far longer than it takes on either, so this hardly changes what is measured; guest time lost weighs each guest "
                    + "by its own speed.",
                "QEMU's total time is its own count in query-migrate, and so are demand faults (postcopy-requests) and blocktime; "
                    + "downtime is the time between its events STOP on the source and RESUME on the destination, because what QEMU 10.0 "
                    + "says of it is the total time.",
                "QEMU's largest gap is what its guest sees on its own clock, which stands still during the downtime, or the downtime, "
                    + "whichever is more: a lower bound. migrationd's is on the guest's clock, downtime included, since the guest was "
                    + "created: an upper bound, and no more than that where the gap before is as large.",
                "Guest time lost: the steps that the guest did not make from the start until shortly after the last page, in time at its "
                    + "speed before.",
            ],
            Results = new
            {
                benchmark = "peers",
                rounds,
                memoryMiB,
                qemus = programs,
                results = results.Select(one => new
                {
                    pattern = Word(one.Pattern),
                    contender = one.Contender.Name,
                    median = one.Median,
                    runs = one.Runs,
                    ratios = one.Contender.IsOurs
                        ? Peers(results, one.Pattern).Select(peer => Ratios.Of(peer.Contender.Name, one.Median, peer.Median))
                        : null,
                }),
            },
        };
    }

    private static IEnumerable<Table> Tables(Result[] results)
    {
        foreach (IGrouping<WalkPattern, Result> group in results.GroupBy(one => one.Pattern))
        {
            string walk = $"{char.ToUpperInvariant(Word(group.Key)[0])}{Word(group.Key)[1..]} walk";
            yield return new(
                walk,
                [
                    "", "total ms", "downtime ms", "demand faults", "blocktime ms", "mean fault µs", "largest gap ms",
                    "gap before ms", "guest time lost ms",
                    "least speed in 100 ms", "steps/s before", "huge before", "huge after",
                ],
                [.. group.Select(one => (string[])
                [
                    one.Contender.Name,
                    Format.Whole(one.Median.TotalMilliseconds),
                    Format.Number(one.Median.DowntimeMilliseconds),
                    Format.Whole(one.Median.DemandFaults),
                    Format.Number(one.Median.BlocktimeMilliseconds),
                    Format.Whole(one.Median.FaultMeanMicroseconds),
                    Format.Number(one.Median.LargestGapMilliseconds),
                    Format.Number(one.Median.LargestGapBeforeMilliseconds),
                    Format.Whole(one.Median.LostMilliseconds),
                    Format.Percent(one.Median.LeastSpeed),
                    Format.Whole(one.Median.StepsPerSecondBefore),
                    Format.Percent(one.Median.HugeBefore),
                    Format.Percent(one.Median.HugeAfter),
                ])]);
            yield return new(
                $"{walk}, ratios",
                ["", "total", "downtime", "blocktime", "mean fault", "largest gap", "guest time lost"],
                [
                    .. from one in @group
                       where one.Contender.IsOurs
                       from peer in Peers(results, one.Pattern)
                       let ratios = Ratios.Of(peer.Contender.Name, one.Median, peer.Median)
                       select (string[])
                       [
                           $"{one.Contender.Name} to {ratios.Peer}",
                           Format.Number(ratios.Total),
                           Format.Number(ratios.Downtime),
                           Format.Number(ratios.Blocktime),
                           Format.Number(ratios.FaultMean),
                           Format.Number(ratios.LargestGap),
                           Format.Number(ratios.Lost),
                       ],
                ]);
        }
    }

    private const string WhyTotalsAreNear =
        "Total time against QEMU: QEMU's own differs between runs of one machine, from 1.0 to 1.9 s for the same walk, and migrationd's is "
        + "bound by what two cores copy and place (see pushing) while they run the guest.";

    private const string WhyGapsAreWide =
        "Largest gap: QEMU's is a lower bound and migrationd's an upper bound (see `peers`), which is as "
        + "large before the migration, because two daemons and a benchmark disturb a guest on two cores at any "
        + "time.";

    private static IEnumerable<Target> Targets(Result[] results)
    {
        foreach (Result one in results.Where(one => one.Contender.IsOurs && one.Pattern == TargetPattern))
        {
            foreach (Result peer in Peers(results, one.Pattern))
            {
                var ratios = Ratios.Of(peer.Contender.Name, one.Median, peer.Median);
                string who = $"{one.Contender.Name} to {ratios.Peer}, {Word(one.Pattern)}";
                yield return Target.AtMost($"{who}: total time", ratios.Total, 0.4) with { Shortfall = WhyTotalsAreNear };
                yield return Target.AtMost($"{who}: blocktime", ratios.Blocktime, 0.3);
                yield return Target.AtMost($"{who}: largest gap", ratios.LargestGap, 0.2) with { Shortfall = WhyGapsAreWide };
            }
        }
    }

    private static IEnumerable<Plot> Plots(Result[] results) => results.GroupBy(one => one.Pattern).Select(group => new Plot(
        $"speed-peers-{Word(group.Key)}",
        $"Guest speed through a migration, {Word(group.Key)} walk",
        [.. group.Select(one => one.Median.Speed)]));

    private static IEnumerable<Result> Peers(Result[] results, WalkPattern pattern) =>
        results.Where(one => !one.Contender.IsOurs && one.Pattern == pattern);

    private static string Title(int memoryMiB) => $"Against QEMU: a guest of {Format.Bytes((double)memoryMiB * (1 << 20))}";

    private static string Word(WalkPattern pattern) => pattern.ToString().ToLowerInvariant();
}
