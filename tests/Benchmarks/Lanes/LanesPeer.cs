using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Pages;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>
/// The source of pages, in a process of its own: sends bulk and answers requests, on lanes and on raw sockets. Says its three ports on
/// standard output, then answers each line on standard input with the CPU time it has used, in microseconds; ends with its input.
/// </summary>
internal static class LanesPeer
{
    public const string Command = "lanes-peer";
    public const string IdentityVariable = "LANES_PEER_IDENTITY";
    public const string MessageBytesMetadata = "message-bytes";
    public const string TotalBytesMetadata = "total-bytes";
    public const int PageBytes = 4096;

    public static int Run(string memoryMiB)
    {
        using var memory = new WarmMemory(int.Parse(memoryMiB, CultureInfo.InvariantCulture) * 1024 * 1024);
        var anyPort = new IPEndPoint(IPAddress.Loopback, 0);
        using var lanes = new LaneListener(anyPort, new LaneOptions(), call => ServeLane(call, memory), NullLogger.Instance);
        lanes.Start();
        string identity = Environment.GetEnvironmentVariable(IdentityVariable)
            ?? throw new InvalidOperationException($"{IdentityVariable} is not set; the benchmark sets it when it starts this");
        var secureOptions = new LaneOptions { Tls = LanesIdentity.Load(identity) };
        using var secureLanes = new LaneListener(anyPort, secureOptions, call => ServeLane(call, memory), NullLogger.Instance);
        secureLanes.Start();
        using var raw = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        raw.Bind(anyPort);
        raw.Listen();
        new Thread(() => AcceptRaw(raw, memory)) { IsBackground = true, Name = "raw accept" }.Start();
        Console.WriteLine($"{lanes.LocalEndPoint.Port} {secureLanes.LocalEndPoint.Port} {((IPEndPoint)raw.LocalEndPoint!).Port}");
        while (Console.ReadLine() is not null)
        {
            Console.WriteLine(((long)Environment.CpuUsage.TotalTime.TotalMicroseconds).ToString(CultureInfo.InvariantCulture));
        }

        return 0;
    }

    private static void ServeLane(LaneCall call, WarmMemory memory)
    {
        call.Accept();
        Span<byte> head = stackalloc byte[PageRunCodec.MaxHeadBytes];
        if (call.Path == PageLanePaths.Urgent)
        {
            while (call.TryReadMessage(out _))
            {
                PageAddress request = PageRequestCodec.Read(call);
                int offset = (int)(request.Page * PageBytes % (ulong)memory.Length);
                int length = PageRunCodec.Encode(new PageRunHeader(0, request.Page, 1, IsZero: false), head);
                call.Write(head[..length], new NativeBuffer(memory.Address + offset, PageBytes));
            }

            return;
        }

        int message = int.Parse(call.Metadata[MessageBytesMetadata], CultureInfo.InvariantCulture);
        long total = long.Parse(call.Metadata[TotalBytesMetadata], CultureInfo.InvariantCulture);
        for (long sent = 0; sent < total; sent += message)
        {
            var run = new PageRunHeader(0, (ulong)(sent / PageBytes), (uint)(message / PageBytes), IsZero: false);
            int length = PageRunCodec.Encode(run, head);
            call.Write(head[..length], new NativeBuffer(memory.Address + (int)(sent % memory.Length), message));
        }
    }

    private static void AcceptRaw(Socket listener, WarmMemory memory)
    {
        while (true)
        {
            Socket socket = listener.Accept();
            new Thread(() =>
            {
                using var raw = new RawSocket(socket);
                try
                {
                    ServeRaw(raw, memory);
                }
                catch (Exception error) when (error is SocketException or EndOfStreamException)
                {
                    // The other end has what it wanted.
                }
            }) { IsBackground = true, Name = "raw" }.Start();
        }
    }

    private static void ServeRaw(RawSocket raw, WarmMemory memory)
    {
        (int message, long total) = raw.ReadOrder();
        if (message == 0)
        {
            Span<byte> request = stackalloc byte[RawSocket.RequestSize];
            for (int offset = 0; ; offset = (offset + PageBytes) % memory.Length)
            {
                raw.Read(request);
                raw.Write(memory.Slice(offset, PageBytes));
            }
        }

        for (long sent = 0; sent < total; sent += message)
        {
            raw.Write(memory.Slice((int)(sent % memory.Length), message));
        }
    }
}
