using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Modes;

/// <summary>The same guest by post-copy, by precopy and by both, over links of two speeds between two network namespaces.</summary>
internal sealed class ModesBenchmark : IBenchmark
{
    private const int DefaultRounds = 1;
    private const int DefaultMemoryMiB = 512;
    private const double WantedFaults = 0.1;

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

        var results = new List<(string Rate, MigrationCase Case, MigrationFigures Figures)>();
        foreach (string rate in Rates)
        {
            using NetworkPair network = NetworkPair.Create(rate);
            await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
            await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
            var run = new MigrationRun(source, destination);
            progress($"modes: {rate}, warming up");
            _ = await run.MeasureAsync(cases[0]);
            foreach (MigrationCase one in cases)
            {
                var figures = new List<MigrationFigures>();
                for (int round = 1; round <= rounds; round++)
                {
                    progress($"modes: {rate}, {one.Name}, round {round} of {rounds}");
                    figures.Add(await run.MeasureAsync(one));
                }

                results.Add((rate, one, MigrationFigures.MedianOf(figures)));
            }
        }

        return Describe(rounds, memoryMiB, results);
    }

    private static IEnumerable<MigrationCase> Cases(long memory)
    {
        long workingSet = MigrationCase.NearlyAll(memory);
        foreach (WalkPattern pattern in new[] { WalkPattern.Uniform, WalkPattern.Zipf, WalkPattern.Sequential })
        {
            foreach ((MigrationMode mode, string word) in Modes)
            {
                yield return new($"{pattern.ToString().ToLowerInvariant()}, {word}", GuestKind.Kvm, pattern, memory, workingSet) { Mode = mode };
            }
        }
    }

    private static Section Describe(
        int rounds, int memoryMiB, List<(string Rate, MigrationCase Case, MigrationFigures Figures)> results)
    {
        string memory = Format.Bytes((double)memoryMiB * (1 << 20));
        return new Section(
            "modes",
            $"Before, after or both: a guest of {memory} at 1 and 10 Gbit/s",
            $"""
            A KVM guest of {memory} with {MigrationCase.Vcpus} vCPUs that writes nearly all of its memory again and again, moved between
            two daemons in network namespaces whose link is shaped (tbf). {(rounds == 1 ? "One run" : $"Medians of {rounds} runs")} of
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
                "A guest that writes all of its memory at random as fast as it can leaves precopy nothing to gain but the bytes that it "
                    + "sends twice; one with a hot part is what precopy is for.",
            ],
            Results = new
            {
                benchmark = "modes",
                rounds,
                memoryMiB,
                guests = results.Select(one => new { rate = one.Rate, name = one.Case.Name, median = one.Figures }),
            },
        };
    }

    private static Table Table(string rate, (string Rate, MigrationCase Case, MigrationFigures Figures)[] results) => new(
        $"At {rate}",
        [
            "walk, mode", "total ms", "downtime ms", "demand faults", "blocktime ms", "MB sent", "rounds", "stale pages", "least speed",
            "largest gap, ms",
        ],
        [.. results.Select(one => (string[])
        [
            one.Case.Name,
            Format.Whole(one.Figures.TotalMilliseconds),
            Format.Number(one.Figures.DowntimeMilliseconds),
            Format.Whole(one.Figures.DemandFaults),
            Format.Number(one.Figures.BlocktimeMilliseconds),
            Format.Whole(one.Figures.BytesSent / 1e6),
            Format.Whole(one.Figures.Rounds),
            Format.Whole(one.Figures.PagesStale),
            Format.Percent(one.Figures.LeastSpeed),
            Format.Number(one.Figures.LargestGapMilliseconds),
        ])]);

    private static IEnumerable<Plot> Plots(List<(string Rate, MigrationCase Case, MigrationFigures Figures)> results) =>
        from rate in Rates
        let series = results.Where(one => one.Rate == rate && one.Case.Pattern == WalkPattern.Zipf)
            .Select(one => one.Figures.Speed).OfType<SpeedSeries>().ToArray()
        where series.Length > 0
        select new Plot($"modes-{rate}", $"Speed of a guest with a hot part at {rate}", series);

    private static IEnumerable<Target> Targets(List<(string Rate, MigrationCase Case, MigrationFigures Figures)> results)
    {
        foreach (string rate in Rates)
        {
            MigrationFigures? Of(MigrationMode mode) => results
                .Where(one => one.Rate == rate && one.Case.Pattern == WalkPattern.Zipf && one.Case.Mode == mode)
                .Select(one => one.Figures).FirstOrDefault();
            if (Of(MigrationMode.Postcopy) is { DemandFaults: > 0 } pure && Of(MigrationMode.Hybrid) is { } hybrid)
            {
                yield return Target.AtMost(
                    $"zipf walk at {rate}: demand faults, hybrid to pure post-copy", hybrid.DemandFaults / pure.DemandFaults, WantedFaults)
                    with
                    {
                        Shortfall = "Hybrid: what the guest writes while the last round and the switchover go on is stale, and the hottest of "
                            + "it is needed at once, before the push can bring it.",
                    };
            }
        }
    }
}
