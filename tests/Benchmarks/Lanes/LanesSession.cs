using System.Diagnostics;
using System.Net.Sockets;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>
/// Page lanes and a raw blocking socket, both between this process (which receives, as a destination does) and a child (which sends), over
/// loopback.
/// </summary>
internal sealed class LanesSession(PeerProcess peer, WarmMemory staging)
{
    private const int StagingBytes = 16 * 1024 * 1024;
    private const int IdleSamples = 10_000;
    private const int SporadicSamples = 1000;

    /// <summary>What an urgent page competes with: nothing; nothing, but a millisecond apart; bulk at full speed.</summary>
    public static readonly string[] Scenarios = ["idle", "sporadic", "under bulk"];

    /// <summary>Messages of bulk, in bytes.</summary>
    public static readonly int[] MessageSizes = [256 * 1024, 2 * 1024 * 1024];

    /// <summary>Bulk as fast as it goes.</summary>
    public Bulk MeasureBulk(Transport transport, int messageBytes, long totalBytes)
    {
        TimeSpan cpu = peer.CpuOfBothEnds();
        long start = Stopwatch.GetTimestamp();
        if (transport != Transport.Raw)
        {
            using LaneCall call = OpenBulk(transport, messageBytes, totalBytes);
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

    /// <summary>Round trips of an urgent page.</summary>
    public Latencies MeasureUrgent(Transport transport, string scenario)
    {
        bool spread = scenario != "idle";
        Action stop = scenario == "under bulk" ? StartBulk(transport) : () => { };
        var microseconds = new double[spread ? SporadicSamples : IdleSamples];
        try
        {
            if (transport != Transport.Raw)
            {
                using LaneCall call = Open(transport, PageLanePaths.Urgent, new Dictionary<string, string>());
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
        if (transport != Transport.Raw)
        {
            LaneCall call = OpenBulk(transport, message, long.MaxValue - message);
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

    private LaneCall OpenBulk(Transport transport, int messageBytes, long totalBytes) => Open(
        transport,
        PageLanePaths.Push,
        new Dictionary<string, string>
        {
            [LanesPeer.MessageBytesMetadata] = $"{messageBytes}",
            [LanesPeer.TotalBytesMetadata] = $"{totalBytes}",
        });

    private LaneCall Open(Transport transport, string path, Dictionary<string, string> metadata) => transport == Transport.SecureLane
        ? LaneClient.Open(peer.SecureLanes, path, metadata, peer.SecureOptions, CancellationToken.None)
        : LaneClient.Open(peer.Lanes, path, metadata, new LaneOptions(), CancellationToken.None);

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
}
