using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Handover;

/// <summary>
/// What is said while the guest stands still, and how long it takes: small guests go to and fro between two warm daemons, hundreds of
/// times.
/// </summary>
internal sealed class HandoverBenchmark : IBenchmark
{
    private const int DefaultRounds = 10;
    private const int MovesInRound = 20;
    private const int DefaultMemoryMiB = 16;
    private const string ThisBuild = "this build";

    /// <inheritdoc/>
    public string Name => "handover";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        MigrationCase[] cases = [.. Cases((long)memoryMiB << 20).Where(one => options.Wants(one.Name))];
        if (cases.Length == 0)
        {
            string names = string.Join("; ", Cases(1 << 24).Select(one => one.Name));
            throw new BenchmarkException($"no case is called '{options.Only}'; there are: {names}.");
        }

        (string Name, string? Program)[] builds = [.. options.Builds.Select(one => (one.Name, (string?)one.Program)), (ThisBuild, null)];
        var times = new Dictionary<(MigrationCase Case, string Build), List<HandoverTimes>>();
        var pairs = new List<(string Build, HandoverPair Pair)>();
        try
        {
            foreach ((string build, string? program) in builds)
            {
                pairs.Add((build, await HandoverPair.StartAsync(program)));
            }

            // Round 0 warms the code up and is not counted. Builds take turns, so that all of them meet the same neighbours.
            for (int round = 0; round <= rounds; round++)
            {
                foreach (MigrationCase one in cases)
                {
                    foreach ((string build, HandoverPair pair) in pairs)
                    {
                        progress($"handover: round {round} of {rounds}, {one.Name}, {build}");
                        IReadOnlyList<HandoverTimes> moved = await pair.MoveAsync(one, MovesInRound);
                        if (round != 0)
                        {
                            times.TryAdd((one, build), []);
                            times[(one, build)].AddRange(moved);
                        }
                    }
                }
            }
        }
        finally
        {
            foreach ((_, HandoverPair pair) in pairs)
            {
                await pair.DisposeAsync();
            }
        }

        return Describe(rounds, memoryMiB, [.. times.Select(one => new Result(one.Key.Case, one.Key.Build, one.Value))]);
    }

    private static IEnumerable<MigrationCase> Cases(long memory)
    {
        foreach ((string kind, GuestKind guest) in new[] { ("kvm", GuestKind.Kvm), ("workload", GuestKind.Workload) })
        {
            foreach ((string mode, MigrationMode how) in new[] { ("post-copy", MigrationMode.Postcopy), ("hybrid", MigrationMode.Hybrid) })
            {
                yield return new($"{kind}, {mode}", guest, WalkPattern.Uniform, memory, MigrationCase.NearlyAll(memory))
                {
                    Mode = how,
                    VcpuCount = 1,
                };
            }
        }
    }

    private static Section Describe(int rounds, int memoryMiB, Result[] results) => new(
        "handover",
        "What is said while the guest stands still",
        $"""
        A guest of {Format.Bytes((double)memoryMiB * (1 << 20))} with one vCPU goes to and fro between two daemons over loopback on
        {Environment.ProcessorCount} cores, {MovesInRound} times in a round, {rounds} rounds after one that is not counted; where several
        builds are compared, they take turns within each round. All figures are what the daemons write into their logs about each
        switchover, which builds from before the handover lane do as well: "save" until the state is saved, after precopy with the Forget
        that comes before it; "LoadState" and "Run" from sending the order to having the answer; "of it loading" what lies between the order
        and the answer on the destination, which waits for the guest's first block.
        """)
    {
        Tables =
        [
            Table("Median, µs", results, 0.5),
            Table("90th percentile, µs", results, 0.9),
        ],
        Notes =
        [
            .. results.Select(one => one.Build).Distinct().Count() > 1
                ? ["LoadState and Run are gRPC calls in builds from before the handover lane."]
                : (string[])[],
        ],
        Results = new
        {
            benchmark = "handover",
            rounds,
            memoryMiB,
            migrations = results.Select(one => new { name = one.Case.Name, build = one.Build, runs = one.Times }),
        },
    };

    private static Table Table(string title, Result[] results, double share) => new(
        title,
        ["guest, build", "migrations", "save", "LoadState", "of it loading", "LoadState without", "Run", "downtime"],
        [.. results.Select(one => (string[])
        [
            $"{one.Case.Name}, {one.Build}",
            $"{one.Times.Count}",
            Format.Whole(one.At(share, times => times.Save)),
            Format.Whole(one.At(share, times => times.Load)),
            Format.Whole(one.At(share, times => times.Loading)),
            Format.Whole(one.At(share, times => times.Load - times.Loading)),
            Format.Whole(one.At(share, times => times.Run)),
            Format.Whole(one.At(share, times => times.Downtime)),
        ])]);

    private sealed record Result(MigrationCase Case, string Build, List<HandoverTimes> Times)
    {
        public double At(double share, Func<HandoverTimes, double> step)
        {
            double[] sorted = [.. Times.Select(step).Order()];
            return sorted[(int)(share * (sorted.Length - 1))];
        }
    }
}
