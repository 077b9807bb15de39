using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Compression;

/// <summary>
/// The push alone, of a guest that packs well and of one that does not, over links of several speeds: from which on packing does not pay.
/// </summary>
internal sealed class CompressionBenchmark : IBenchmark
{
    private const int DefaultMemoryMiB = 256;
    private const int RoundsOfThinLinks = 1;
    private const int RoundsOfOthers = 3;
    private const double WorstChoice = 1.15;

    private static readonly Link[] Links =
    [
        new("100 Mbit/s", "100mbit", RoundsOfThinLinks),
        new("500 Mbit/s", "500mbit", RoundsOfThinLinks),
        new("1 Gbit/s", "1gbit", RoundsOfOthers),
        new("10 Gbit/s", "10gbit", RoundsOfOthers),
        new("unlimited", null, RoundsOfOthers),
    ];

    private static readonly CompressMode[] Modes = [CompressMode.Off, CompressMode.On, CompressMode.Auto];

    private static readonly GuestContent[] Contents = [GuestContent.Counting, GuestContent.Random];

    /// <inheritdoc/>
    public string Name => "compression";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress) => MeasureAsync(options, progress).GetAwaiter().GetResult();

    private static async Task<Section> MeasureAsync(RunOptions options, Action<string> progress)
    {
        int memoryMiB = options.MemoryMiB ?? DefaultMemoryMiB;
        var results = new List<Result>();
        foreach (Link link in Links.Where(one => options.Wants(one.Name)))
        {
            using NetworkPair network = NetworkPair.Create(link.Rate);
            await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
            await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
            var run = new MigrationRun(source, destination);
            progress($"compression: {link.Name}, warming up");
            _ = await run.MeasureAsync(Case(Math.Min(memoryMiB, 32), GuestContent.Counting, CompressMode.On));
            int rounds = options.Rounds ?? link.Rounds;
            foreach (GuestContent content in Contents)
            {
                foreach (CompressMode mode in Modes)
                {
                    MigrationCase wanted = Case(memoryMiB, content, mode);
                    var figures = new List<MigrationFigures>();
                    for (int round = 1; round <= rounds; round++)
                    {
                        progress($"compression: {link.Name}, {wanted.Name}, round {round} of {rounds}");
                        figures.Add(await run.MeasureAsync(wanted));
                    }

                    results.Add(new Result(link.Name, content, mode, MigrationFigures.MedianOf(figures)));
                }
            }
        }

        return results.Count > 0
            ? Describe(memoryMiB, results)
            : throw new BenchmarkException(
                $"no link is called '{options.Only}'; there are: {string.Join("; ", Links.Select(one => one.Name))}.");
    }

    private static MigrationCase Case(int memoryMiB, GuestContent content, CompressMode mode)
    {
        long memory = (long)memoryMiB << 20;
        return new(
            $"{content}, {mode}".ToLowerInvariant(), GuestKind.Workload, WalkPattern.Sequential, memory, MigrationCase.NearlyAll(memory),
            Paused: true)
        {
            Content = content,
            Compress = mode,
        };
    }

    private static Section Describe(int memoryMiB, List<Result> results) => new(
        "compression",
        "Packing pages: where it pays",
        $"""
        A guest of {Format.Bytes((double)memoryMiB * (1 << 20))} that stands still, nearly all of it written, moved by post-copy between two
        daemons in network namespaces whose link is shaped (tbf): what is measured is the push. Off packs nothing, on whatever gets
        smaller, auto (the default) what makes the transfer shorter. CPU is that of both daemons.
        """)
    {
        Tables = [.. Contents.Select(content => Table(content, [.. results.Where(one => one.Content == content)]))],
        Targets = [.. Targets(results)],
        Notes =
        [
            "Counting words pack to an eighth, as the heap of many a program does; of random ones nothing is left out.",
            "What a link loses in front of the first choice is in the figures: auto sends a first batch as it is, and tries one.",
        ],
        Results = new
        {
            benchmark = "compression",
            memoryMiB,
            migrations = results.Select(
                one => new { link = one.Link, content = $"{one.Content}", mode = $"{one.Mode}", median = one.Figures }),
        },
    };

    private static Table Table(GuestContent content, Result[] results) => new(
        $"A guest with {content.ToString().ToLowerInvariant()} words",
        [
            "link", "off, ms", "on, ms", "auto, ms", "off, MB sent", "on, MB sent", "auto, MB sent", "off, CPU s", "on, CPU s",
            "auto, CPU s",
        ],
        [.. results.GroupBy(one => one.Link).Select(link => (string[])
        [
            link.Key,
            .. Modes.Select(mode => Format.Whole(Of(link, mode).TotalMilliseconds)),
            .. Modes.Select(mode => Format.Whole(Of(link, mode).BytesSent / 1e6)),
            .. Modes.Select(mode => Format.Number(Of(link, mode).CpuSecondsPerGigabyte * Of(link, mode).Gigabytes)),
        ])]);

    private static IEnumerable<Target> Targets(List<Result> results) =>
        from one in results.GroupBy(one => (one.Link, one.Content))
        let best = Math.Min(Of(one, CompressMode.Off).TotalMilliseconds, Of(one, CompressMode.On).TotalMilliseconds)
        select Target.AtMost(
            $"{one.Key.Link}, {one.Key.Content.ToString().ToLowerInvariant()} words: time of auto to the shorter of off and on",
            Of(one, CompressMode.Auto).TotalMilliseconds / best,
            WorstChoice) with
        {
            Shortfall = "A transfer of a fraction of a second is over before much has been learnt, and differs as much from run to run.",
        };

    private static MigrationFigures Of(IEnumerable<Result> results, CompressMode mode) => results.Single(one => one.Mode == mode).Figures;

    /// <param name="Name">As it is shown.</param>
    /// <param name="Rate">As tc(8) writes it; null for as fast as the kernel copies.</param>
    /// <param name="Rounds">Counted rounds.</param>
    private sealed record Link(string Name, string? Rate, int Rounds);

    private sealed record Result(string Link, GuestContent Content, CompressMode Mode, MigrationFigures Figures);
}
