using System.Globalization;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>
/// The page lanes, in plain text and over TLS, against a raw blocking socket. Rounds alternate between them, so that what the machine does
/// meanwhile hits all; the report gives medians of rounds.
/// </summary>
internal sealed class LanesBenchmark : IBenchmark
{
    private const int StagingBytes = 16 * 1024 * 1024;
    private const long BulkBytes = 2L << 30;
    private const int DefaultRounds = 5;

    /// <inheritdoc/>
    public string Name => "lanes";

    /// <inheritdoc/>
    public Section Measure(RunOptions options, Action<string> progress)
    {
        int rounds = options.Rounds ?? DefaultRounds;
        using var peer = new PeerProcess();
        using var staging = new WarmMemory(StagingBytes);
        var session = new LanesSession(peer, staging);
        var bulk = new Dictionary<(int, Transport), List<Bulk>>();
        var urgent = new Dictionary<(string, Transport), List<Latencies>>();

        // Round 0 warms the code up and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            Transport[] order = [Transport.Lane, Transport.SecureLane, Transport.Raw];
            if (round % 2 != 0)
            {
                Array.Reverse(order);
            }

            progress($"lanes: round {round} of {rounds}");
            foreach (int size in LanesSession.MessageSizes)
            {
                foreach (Transport transport in order)
                {
                    Keep(bulk, (size, transport), session.MeasureBulk(transport, size, round == 0 ? BulkBytes / 8 : BulkBytes), round);
                }
            }

            foreach (string scenario in LanesSession.Scenarios)
            {
                foreach (Transport transport in order)
                {
                    Keep(urgent, (scenario, transport), session.MeasureUrgent(transport, scenario), round);
                }
            }
        }

        return Describe(
            rounds,
            bulk.ToDictionary(one => one.Key, one => Bulk.MedianOf(one.Value)),
            urgent.ToDictionary(one => one.Key, one => Latencies.MedianOf(one.Value)));
    }

    private static void Keep<TKey, T>(Dictionary<TKey, List<T>> runs, TKey key, T run, int round)
        where TKey : notnull
    {
        if (round != 0)
        {
            (runs.TryGetValue(key, out List<T>? list) ? list : runs[key] = []).Add(run);
        }
    }

    private static Section Describe(
        int rounds,
        Dictionary<(int Size, Transport Transport), Bulk> bulk,
        Dictionary<(string Scenario, Transport Transport), Latencies> urgent) => new(
        "lanes",
        "Page lanes",
        $"""
        Page lanes, the same over TLS 1.3 with certificates on both sides (mTLS), and a raw blocking socket in plain text, with messages
        of the same size, two processes over loopback on {Environment.ProcessorCount} cores; CPU time is that of both ends. An urgent page
        is a round trip: request, page. Medians of {rounds} alternating rounds.
        """)
    {
        Tables =
        [
            BulkTable("Bulk", "lane", Transport.Lane, bulk),
            BulkTable("Bulk over mTLS", "mTLS", Transport.SecureLane, bulk),
            UrgentTable(urgent),
        ],
        Targets = [.. Targets(urgent)],
        Results = new
        {
            benchmark = "lanes",
            rounds,
            cores = Environment.ProcessorCount,
            bulk = LanesSession.MessageSizes.Select(size => new
            {
                messageBytes = size,
                lane = bulk[(size, Transport.Lane)],
                secureLane = bulk[(size, Transport.SecureLane)],
                raw = bulk[(size, Transport.Raw)],
            }),
            urgentMicroseconds = LanesSession.Scenarios.Select(name => new
            {
                scenario = name,
                lane = urgent[(name, Transport.Lane)],
                secureLane = urgent[(name, Transport.SecureLane)],
                raw = urgent[(name, Transport.Raw)],
            }),
        },
    };

    private static Table BulkTable(
        string title, string name, Transport transport, Dictionary<(int Size, Transport Transport), Bulk> bulk) => new(
        title,
        ["message", $"GB/s, {name}/raw", $"CPU, {name}/raw", $"{name} GB/s", "raw GB/s", $"{name} CPU s/GB", "raw CPU s/GB"],
        [.. LanesSession.MessageSizes.Select(size =>
        {
            (Bulk lane, Bulk raw) = (bulk[(size, transport)], bulk[(size, Transport.Raw)]);
            return (string[])
            [
                Format.Bytes(size),
                Format.Number(lane.GigabytesPerSecond / raw.GigabytesPerSecond),
                Format.Number(lane.CpuSecondsPerGigabyte / raw.CpuSecondsPerGigabyte),
                Format.Number(lane.GigabytesPerSecond),
                Format.Number(raw.GigabytesPerSecond),
                Format.Number(lane.CpuSecondsPerGigabyte),
                Format.Number(raw.CpuSecondsPerGigabyte),
            ];
        })]);

    private static Table UrgentTable(Dictionary<(string Scenario, Transport Transport), Latencies> urgent)
    {
        var rows = new List<IReadOnlyList<string>>();
        foreach (string scenario in LanesSession.Scenarios)
        {
            (Latencies lane, Latencies secure) = (urgent[(scenario, Transport.Lane)], urgent[(scenario, Transport.SecureLane)]);
            Latencies raw = urgent[(scenario, Transport.Raw)];
            rows.Add(Row($"{scenario}, lane/raw", lane.RatioTo(raw), "0.00"));
            rows.Add(Row($"{scenario}, mTLS/raw", secure.RatioTo(raw), "0.00"));
            rows.Add(Row($"{scenario}, lane", lane, "0"));
            rows.Add(Row($"{scenario}, mTLS", secure, "0"));
            rows.Add(Row($"{scenario}, raw", raw, "0"));
        }

        return new Table("Urgent page, µs", ["", "p50", "p90", "p99", "p99.9", "max"], rows);

        static string[] Row(string name, Latencies row, string format)
        {
            string Cell(double value) => value.ToString(format, CultureInfo.InvariantCulture);
            return [name, Cell(row.P50), Cell(row.P90), Cell(row.P99), Cell(row.P999), Cell(row.Max)];
        }
    }

    private static IEnumerable<Target> Targets(Dictionary<(string Scenario, Transport Transport), Latencies> urgent)
    {
        foreach (string scenario in new[] { "idle", "sporadic" })
        {
            double ratio = urgent[(scenario, Transport.Lane)].P50 / urgent[(scenario, Transport.Raw)].P50;
            yield return Target.AtMost($"urgent page, {scenario}: p50 to raw socket", ratio, 1.5);
        }
    }
}
