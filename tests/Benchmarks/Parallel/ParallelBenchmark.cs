using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Parallel;

/// <summary>The push alone over one connection and over several, between two network namespaces: what more lanes add, and where.</summary>
internal sealed class ParallelBenchmark : IBenchmark
{
    private const int DefaultRounds = 3;
    private const int DefaultMemoryMiB = 512;

    // A network that gives each connection a share and no more, as those of many providers do.
    private const string ShareOfAConnection = "100mb/s";

    private static readonly Link[] Links =
    [
        new("as fast as two cores copy", IsPoliced: false), new($"{ShareOfAConnection} for each connection", IsPoliced: true),
    ];

    private static readonly int[] Lanes = [1, 2, 4];

    /// <inheritdoc/>
    public string Name => "parallel";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        var results = new List<Result>();
        foreach (Link link in Links.Where(one => options.Wants(one.Name)))
        {
            using NetworkPair network = NetworkPair.Create();
            await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
            await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
            if (link.IsPoliced)
            {
                network.Two.Run(
                    "iptables", "-w", "-A", "INPUT", "-p", "tcp", "-m", "hashlimit", "--hashlimit-above", ShareOfAConnection,
                    "--hashlimit-mode", "srcip,srcport,dstip,dstport", "--hashlimit-name", "connection", "-j", "DROP");
            }

            var run = new MigrationRun(source, destination);
            var figures = Lanes.ToDictionary(lanes => lanes, _ => new List<MigrationFigures>());
            // Round 0 warms the code and the memory up and is not counted.
            for (int round = 0; round <= rounds; round++)
            {
                foreach (int lanes in Lanes)
                {
                    progress($"parallel: {link.Name}, {lanes} push lanes, round {round} of {rounds}");
                    MigrationFigures one = await run.MeasureAsync(Case(memoryMiB, lanes));
                    if (round != 0)
                    {
                        figures[lanes].Add(one);
                    }
                }
            }

            results.AddRange(Lanes.Select(lanes => new Result(link.Name, lanes, MigrationFigures.MedianOf(figures[lanes]))));
        }

        return results.Count > 0
            ? Describe(rounds, memoryMiB, results)
            : throw new BenchmarkException(
                $"no link is called '{options.Only}'; there are: {string.Join("; ", Links.Select(one => one.Name))}.");
    }

    private static MigrationCase Case(int memoryMiB, int lanes)
    {
        long memory = (long)memoryMiB << 20;
        return new(
            $"{lanes} push lanes", GuestKind.Workload, WalkPattern.Sequential, memory, MigrationCase.NearlyAll(memory), Paused: true)
        {
            Lanes = lanes,
        };
    }

    private static Section Describe(int rounds, int memoryMiB, List<Result> results) => new(
        "parallel",
        "Several push lanes",
        $"""
        A guest of {Format.Bytes((double)memoryMiB * (1 << 20))} that stands still, nearly all of it written, moved by post-copy between two
        daemons in network namespaces on {Environment.ProcessorCount} cores: what is measured is the push. Once the link is as fast as the
        kernel copies, and once it drops what a connection sends above {ShareOfAConnection} (hashlimit of iptables). Medians of {rounds}
        alternating rounds after one that is not counted; CPU is that of both daemons.
        """)
    {
        Tables =
        [
            new Table(
                "",
                ["link, push lanes", "total ms", "GB/s", "to one lane", "CPU s/GB"],
                [.. results.Select(one => (string[])
                [
                    $"{one.Link}, {one.Lanes}",
                    Format.Whole(one.Figures.TotalMilliseconds),
                    Format.Number(one.Figures.GigabytesPerSecond),
                    Format.Number(one.Figures.GigabytesPerSecond / OneLane(results, one.Link).GigabytesPerSecond),
                    Format.Number(one.Figures.CpuSecondsPerGigabyte),
                ])]),
        ],
        Notes =
        [
            "A second lane fills the pauses of the first: one end receives and places while the other reads and sends. A guest that runs on "
                + "the same cores pays for that, which this one does not; so one is the default.",
        ],
        Results = new
        {
            benchmark = "parallel",
            rounds,
            memoryMiB,
            migrations = results.Select(one => new { link = one.Link, lanes = one.Lanes, median = one.Figures }),
        },
    };

    private static MigrationFigures OneLane(List<Result> results, string link) =>
        results.Single(one => one.Link == link && one.Lanes == 1).Figures;

    private sealed record Link(string Name, bool IsPoliced);

    private sealed record Result(string Link, int Lanes, MigrationFigures Figures);
}
