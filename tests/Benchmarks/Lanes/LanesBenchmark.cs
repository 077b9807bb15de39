using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Pages;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>
/// The page lanes against a raw blocking socket, both between this process (which receives, as a destination does) and a child (which
/// sends), over loopback. Rounds alternate between the two, so that what the machine does meanwhile hits both; the report gives medians of
/// rounds.
/// </summary>
internal sealed class LanesBenchmark(PeerProcess peer, WarmMemory staging)
{
    private const int StagingBytes = 16 * 1024 * 1024;
    private const long BulkBytes = 2L << 30;
    private const int IdleSamples = 10_000;
    private const int SporadicSamples = 1000;
    private static readonly int[] MessageSizes = [256 * 1024, 2 * 1024 * 1024];
    private static readonly string[] Scenarios = ["idle", "sporadic", "under bulk"];
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private sealed record Bulk(double GigabytesPerSecond, double CpuSecondsPerGigabyte);

    public static int Run(string[] options)
    {
        bool json = options.Contains("--json");
        int rounds = 5;
        int at = Array.IndexOf(options, "--rounds");
        if (at >= 0 && (at + 1 == options.Length
            || !int.TryParse(options[at + 1], NumberStyles.None, CultureInfo.InvariantCulture, out rounds) || rounds == 0))
        {
            Console.Error.WriteLine("--rounds takes a number from 1 on.");
            return 2;
        }

        using var peer = new PeerProcess();
        using var staging = new WarmMemory(StagingBytes);
        new LanesBenchmark(peer, staging).Measure(rounds, json);
        return 0;
    }

    private void Measure(int rounds, bool json)
    {
        var bulk = new Dictionary<(int, Transport), List<Bulk>>();
        var urgent = new Dictionary<(string, Transport), List<Latencies>>();

        // Round 0 warms the code up and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            Transport[] order = round % 2 == 0 ? [Transport.Lane, Transport.Raw] : [Transport.Raw, Transport.Lane];
            Progress($"round {round} of {rounds}");
            foreach (int size in MessageSizes)
            {
                foreach (Transport transport in order)
                {
                    Keep(bulk, (size, transport), MeasureBulk(transport, size, round == 0 ? BulkBytes / 8 : BulkBytes), round);
                }
            }

            foreach (string scenario in Scenarios)
            {
                foreach (Transport transport in order)
                {
                    Keep(urgent, (scenario, transport), MeasureUrgent(transport, scenario), round);
                }
            }
        }

        Progress("");
        var bulkMedians = bulk.ToDictionary(one => one.Key, one => new Bulk(
            Median.Of(one.Value.Select(run => run.GigabytesPerSecond)), Median.Of(one.Value.Select(run => run.CpuSecondsPerGigabyte))));
        var urgentMedians = urgent.ToDictionary(one => one.Key, one => Latencies.MedianOf(one.Value));
        if (json)
        {
            PrintJson(rounds, bulkMedians, urgentMedians);
        }
        else
        {
            PrintTables(rounds, bulkMedians, urgentMedians);
        }
    }

    private static void Keep<TKey, T>(Dictionary<TKey, List<T>> runs, TKey key, T run, int round)
        where TKey : notnull
    {
        if (round != 0)
        {
            (runs.TryGetValue(key, out List<T>? list) ? list : runs[key] = []).Add(run);
        }
    }

    private Bulk MeasureBulk(Transport transport, int messageBytes, long totalBytes)
    {
        TimeSpan cpu = peer.CpuOfBothEnds();
        long start = Stopwatch.GetTimestamp();
        if (transport == Transport.Lane)
        {
            using LaneCall call = OpenBulk(messageBytes, totalBytes);
            long received = ReceiveBulk(call);
            if (received != totalBytes)
            {
                throw new InvalidOperationException($"{received} of {totalBytes} bytes came");
            }
        }
        else
        {
            using RawSocket raw = RawSocket.Open(peer.Raw, messageBytes, totalBytes);
            for (long received = 0; received < totalBytes; received += messageBytes)
            {
                raw.Read(staging.Slice((int)(received % StagingBytes), messageBytes));
            }
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double gigabytes = totalBytes / 1e9;
        return new Bulk(gigabytes / seconds, (peer.CpuOfBothEnds() - cpu).TotalSeconds / gigabytes);
    }

    private Latencies MeasureUrgent(Transport transport, string scenario)
    {
        bool spread = scenario != "idle";
        Action stop = scenario == "under bulk" ? StartBulk(transport) : () => { };
        var microseconds = new double[spread ? SporadicSamples : IdleSamples];
        try
        {
            if (transport == Transport.Lane)
            {
                using LaneCall call = LaneClient.Open(
                    peer.Lanes, PageLanePaths.Urgent, new Dictionary<string, string>(), new LaneOptions(), CancellationToken.None);
                Sample(microseconds, spread, page => RequestPage(call, page));
                call.FinishWriting();
                call.TryReadMessage(out _);
            }
            else
            {
                using RawSocket raw = RawSocket.Open(peer.Raw, 0, 0);
                Sample(microseconds, spread, _ => RequestPage(raw));
            }
        }
        finally
        {
            stop();
        }

        return Latencies.Of(microseconds);
    }

    private static void Sample(double[] microseconds, bool spread, Action<ulong> requestPage)
    {
        for (int i = 0; i < microseconds.Length; i++)
        {
            if (spread)
            {
                // The load itself: faults of a guest that come a millisecond apart.
                Thread.Sleep(1);
            }

            long start = Stopwatch.GetTimestamp();
            requestPage((ulong)i);
            microseconds[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
    }

    private void RequestPage(LaneCall call, ulong page)
    {
        Span<byte> request = stackalloc byte[PageRequestCodec.MaxBytes];
        call.Write(request[..PageRequestCodec.Encode(new PageAddress(0, page), request)]);
        if (!call.TryReadMessage(out _))
        {
            throw new InvalidOperationException("the peer has ended the lane");
        }

        PageRunHeader header = PageRunCodec.ReadHeader(call);
        call.Read(staging.Slice(0, header.DataLength));
    }

    private void RequestPage(RawSocket raw)
    {
        Span<byte> request = stackalloc byte[RawSocket.RequestSize];
        raw.Write(request);
        raw.Read(staging.Slice(0, LanesPeer.PageBytes));
    }

    /// <summary>Bulk as fast as it goes, from when this returns until its result is called.</summary>
    private Action StartBulk(Transport transport)
    {
        using var flowing = new ManualResetEventSlim();
        int message = MessageSizes[0];
        Thread thread;
        Action interrupt;
        if (transport == Transport.Lane)
        {
            LaneCall call = OpenBulk(message, long.MaxValue - message);
            interrupt = () => call.Abort("the measurement is over");
            thread = new Thread(() =>
            {
                using (call)
                {
                    try
                    {
                        ReceiveBulk(call, flowing);
                    }
                    catch (LaneException error) when (error.Kind == LaneFailure.Aborted)
                    {
                        // As asked.
                    }
                }
            });
        }
        else
        {
            RawSocket raw = RawSocket.Open(peer.Raw, message, long.MaxValue - message);
            interrupt = raw.Interrupt;
            thread = new Thread(() =>
            {
                using (raw)
                {
                    try
                    {
                        for (long received = 0; ; received += message)
                        {
                            raw.Read(staging.Slice((int)(received % StagingBytes), message));
                            flowing.Set();
                        }
                    }
                    catch (Exception error) when (error is EndOfStreamException or SocketException)
                    {
                        // As asked.
                    }
                }
            });
        }

        thread.Name = "bulk";
        thread.Start();
        flowing.Wait(TimeSpan.FromSeconds(30));
        return () =>
        {
            interrupt();
            thread.Join();
        };
    }

    private LaneCall OpenBulk(int messageBytes, long totalBytes) => LaneClient.Open(
        peer.Lanes,
        PageLanePaths.Push,
        new Dictionary<string, string>
        {
            [LanesPeer.MessageBytesMetadata] = $"{messageBytes}",
            [LanesPeer.TotalBytesMetadata] = $"{totalBytes}",
        },
        new LaneOptions(),
        CancellationToken.None);

    private long ReceiveBulk(LaneCall call, ManualResetEventSlim? flowing = null)
    {
        long received = 0;
        while (call.TryReadMessage(out _))
        {
            PageRunHeader header = PageRunCodec.ReadHeader(call);
            call.Read(staging.Slice((int)(received % StagingBytes), header.DataLength));
            received += header.DataLength;
            flowing?.Set();
        }

        return received;
    }

    private static void PrintTables(
        int rounds,
        Dictionary<(int Size, Transport Transport), Bulk> bulk,
        Dictionary<(string Scenario, Transport Transport), Latencies> urgent)
    {
        Console.WriteLine($"Page lanes and a raw blocking socket, two processes over loopback, {Environment.ProcessorCount} cores;");
        Console.WriteLine($"medians of {rounds} alternating rounds. {Environment.OSVersion.VersionString}, .NET {Environment.Version}.");
        Console.WriteLine();
        Console.WriteLine(
            $"{"bulk, message",-16} {"lane GB/s",10} {"raw GB/s",10} {"lane/raw",9}   "
            + $"{"lane CPU s/GB",13} {"raw CPU s/GB",12} {"lane/raw",9}");
        foreach (int size in MessageSizes)
        {
            (Bulk lane, Bulk raw) = (bulk[(size, Transport.Lane)], bulk[(size, Transport.Raw)]);
            Console.WriteLine(
                $"{$"{size / 1024} KiB",-16} {lane.GigabytesPerSecond,10:0.00} {raw.GigabytesPerSecond,10:0.00} "
                + $"{lane.GigabytesPerSecond / raw.GigabytesPerSecond,9:0.00}   "
                + $"{lane.CpuSecondsPerGigabyte,13:0.00} {raw.CpuSecondsPerGigabyte,12:0.00} "
                + $"{lane.CpuSecondsPerGigabyte / raw.CpuSecondsPerGigabyte,9:0.00}");
        }

        Console.WriteLine();
        Console.WriteLine($"{"urgent page, µs",-24} {"p50",9} {"p90",9} {"p99",9} {"p99.9",9} {"max",9}");
        foreach (string scenario in Scenarios)
        {
            (Latencies lane, Latencies raw) = (urgent[(scenario, Transport.Lane)], urgent[(scenario, Transport.Raw)]);
            Row($"{scenario}, lane", lane, "0");
            Row($"{scenario}, raw", raw, "0");
            Row("  lane/raw", lane.RatioTo(raw), "0.00");
        }

        static void Row(string name, Latencies row, string format)
        {
            string Cell(double value) => value.ToString(format, CultureInfo.InvariantCulture).PadLeft(9);
            Console.WriteLine($"{name,-24} {Cell(row.P50)} {Cell(row.P90)} {Cell(row.P99)} {Cell(row.P999)} {Cell(row.Max)}");
        }
    }

    private static void PrintJson(
        int rounds,
        Dictionary<(int Size, Transport Transport), Bulk> bulk,
        Dictionary<(string Scenario, Transport Transport), Latencies> urgent) =>
        Console.WriteLine(JsonSerializer.Serialize(
            new
            {
                benchmark = "lanes",
                rounds,
                cores = Environment.ProcessorCount,
                bulk = MessageSizes.Select(size => new
                {
                    messageBytes = size,
                    lane = bulk[(size, Transport.Lane)],
                    raw = bulk[(size, Transport.Raw)],
                }),
                urgentMicroseconds = Scenarios.Select(name => new
                {
                    scenario = name,
                    lane = urgent[(name, Transport.Lane)],
                    raw = urgent[(name, Transport.Raw)],
                }),
            },
            Json));

    private static void Progress(string text)
    {
        if (!Console.IsErrorRedirected)
        {
            Console.Error.Write($"\r{text,-20}\r");
        }
    }
}
