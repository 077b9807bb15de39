using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Connections: dialling, limits, closing, and the sockets under them.</summary>
public sealed partial class LaneListenerTests
{
    private static readonly Dictionary<string, string> None = [];

    [Fact]
    public void Connections_beyond_the_limit_are_refused_until_one_ends()
    {
        const int Limit = 3;
        using var fixture = new LaneFixture(Hold, new LaneOptions { MaxConnections = Limit });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            LaneCall[] open = [.. Enumerable.Range(0, Limit).Select(_ => fixture.Open())];
            for (int i = 0; i < 20; i++)
            {
                var error = Assert.Throws<LaneException>(() => fixture.Open());
                Assert.True(error.Kind is LaneFailure.PeerClosed or LaneFailure.Reset, error.Message);
                Assert.Contains("which is the limit", fixture.Log.Next(), StringComparison.Ordinal);
            }

            open[1].FinishWriting();
            Assert.False(open[1].TryReadMessage(out _));
            open[1].Dispose();
            open[1] = OpenWhenThereIsRoom(fixture);
            foreach (LaneCall call in open)
            {
                call.Write([1]);
                call.FinishWriting();
                Assert.False(call.TryReadMessage(out _));
            }
        }));
    }

    [Fact]
    public void Closing_ends_every_lane()
    {
        using var fixture = new LaneFixture(Hold);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            LaneCall[] open = [.. Enumerable.Range(0, 5).Select(_ => fixture.Open())];
            Task[] readers = [.. open.Select(call => LaneFixture.Run(() =>
                Assert.Equal(LaneFailure.Reset, Assert.Throws<LaneException>(() => call.TryReadMessage(out _)).Kind)))];
            fixture.Connect();
            fixture.Listener.Dispose();
            LaneFixture.Wait(readers);
            Assert.Equal(LaneFailure.PeerClosed, Assert.Throws<LaneException>(() => fixture.Open()).Kind);
        }));
    }

    [Fact]
    public void Nobody_listening_is_said_so()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var error = Assert.Throws<LaneException>(
            () => LaneClient.Open(socket.LocalEndPoint!, "/test/Lane", None, new LaneOptions(), default));
        Assert.Equal(LaneFailure.PeerClosed, error.Kind);
        Assert.Contains($"{socket.LocalEndPoint}", error.Message, StringComparison.Ordinal);
        Assert.Contains("refused", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Name_is_resolved()
    {
        using var fixture = new LaneFixture(Hold);
        using LaneCall call = LaneClient.Open(
            new DnsEndPoint("localhost", fixture.Listener.LocalEndPoint.Port), "/test/Lane", None, fixture.Options, default);
        call.FinishWriting();
        Assert.False(call.TryReadMessage(out _));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dialling_that_is_not_answered_ends_by_deadline_or_cancellation(bool cancel)
    {
        // A full backlog: the kernel drops further connection requests, as a host that does not answer does.
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen(0);
        using var first = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        first.Connect(socket.LocalEndPoint!);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            using var cancellation = new CancellationTokenSource();
            var options = new LaneOptions { HandshakeTimeout = cancel ? LaneFixture.Deadline : TimeSpan.FromMilliseconds(300) };
            if (cancel)
            {
                cancellation.CancelAfter(200);
            }

            void Dial() => LaneClient.Open(socket.LocalEndPoint!, "/test/Lane", None, options, cancellation.Token);
            if (cancel)
            {
                Assert.Throws<OperationCanceledException>(Dial);
            }
            else
            {
                Assert.Equal(LaneFailure.Timeout, Assert.Throws<LaneException>(Dial).Kind);
            }
        }));
    }

    [Fact]
    public void Waiting_for_acceptance_can_be_cancelled()
    {
        using var held = new ManualResetEventSlim();
        using var entered = new ManualResetEventSlim();
        using var fixture = new LaneFixture(_ =>
        {
            entered.Set();
            held.Wait(LaneFixture.Deadline);
        });
        using var cancellation = new CancellationTokenSource();
        Task dialling = LaneFixture.Run(() => Assert.Throws<OperationCanceledException>(
            () => LaneClient.Open(fixture.Listener.LocalEndPoint, "/test/Lane", None, fixture.Options, cancellation.Token)));
        Assert.True(entered.Wait(LaneFixture.Deadline));
        cancellation.Cancel();
        LaneFixture.Wait(dialling);
        held.Set();
    }

    [Fact]
    public void Address_in_use_is_refused_at_once()
    {
        using var fixture = new LaneFixture(Hold);
        Assert.Throws<SocketException>(() =>
            new LaneListener(fixture.Listener.LocalEndPoint, new LaneOptions(), Hold, NullLogger.Instance));
    }

    [Fact]
    public void Threads_are_named_and_the_lanes_own()
    {
        string? name = null;
        bool pooled = true;
        using var fixture = new LaneFixture(
            _ => (name, pooled) = (Thread.CurrentThread.Name, Thread.CurrentThread.IsThreadPoolThread),
            new LaneOptions { ThreadName = "push" });
        LaneCall call = fixture.Open();
        Assert.False(call.TryReadMessage(out _));
        Assert.Equal("push 1", name);
        Assert.False(pooled);
    }

    [Fact]
    public async Task A_probe_is_taken_even_when_there_is_no_room_for_a_lane_and_is_not_logged()
    {
        using var fixture = new LaneFixture(Hold, new LaneOptions { MaxConnections = 1 });
        await LaneFixture.Run(() => fixture.Open()).WaitAsync(LaneFixture.Deadline);
        using var deadline = new CancellationTokenSource(LaneFixture.Deadline);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => fixture.Listener.ProbeAsync(deadline.Token)));
        Assert.Equal(0, fixture.Log.Count);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("::1")]
    [InlineData("127.0.0.1")]
    public async Task A_listener_on_any_address_can_be_probed(string address)
    {
        using var listener = new LaneListener(new IPEndPoint(IPAddress.Parse(address), 0), new LaneOptions(), Hold, NullLogger.Instance);
        listener.Start();
        using var deadline = new CancellationTokenSource(LaneFixture.Deadline);
        await listener.ProbeAsync(deadline.Token);
    }

    [Fact]
    public async Task A_probe_is_not_taken_when_the_kernel_queues_it_and_nobody_accepts()
    {
        using var listener = new LaneListener(new IPEndPoint(IPAddress.Loopback, 0), new LaneOptions(), Hold, NullLogger.Instance);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listener.ProbeAsync(cancel.Token));
        listener.Dispose();
        await Assert.ThrowsAsync<SocketException>(() => listener.ProbeAsync(CancellationToken.None).WaitAsync(LaneFixture.Deadline));
    }

    [Fact]
    public void Sockets_stay_blocking()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var dialled = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        dialled.Connect(listener.LocalEndPoint!);
        Socket accepted = listener.Accept();
        using var near = new SocketLaneTransport(dialled, new LaneOptions());
        using var far = new SocketLaneTransport(accepted, new LaneOptions());
        near.Send([1], [2, 3], default);
        Assert.Equal(Readiness.Readable, far.Wait(Readiness.Readable, 10_000));
        Assert.Equal(3, far.Receive(new byte[10]));
        Assert.Equal(1, far.TrySend([4]));
        Assert.Equal(1, near.Receive(new byte[10]));
        Assert.Equal(Readiness.None, near.Wait(Readiness.Readable, 0));
        Assert.Equal(Readiness.Writable, near.Wait(Readiness.Readable | Readiness.Writable, -1));
        Assert.False(IsNonBlocking(dialled), "the dialled socket has become non-blocking");
        Assert.False(IsNonBlocking(accepted), "the accepted socket has become non-blocking");
        Assert.False(IsNonBlocking(listener), "the listening socket has become non-blocking");
    }

    private static bool IsNonBlocking(Socket socket)
    {
        const int GetFlags = 3;
        const int NonBlock = 0x800;
        int flags = Fcntl(socket.SafeHandle, GetFlags);
        Assert.True(flags >= 0);
        return (flags & NonBlock) != 0;
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(SafeHandle descriptor, int command);

    private static void Hold(LaneCall call)
    {
        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            call.Read(new byte[length]);
        }
    }

    // A lane counts until its thread has ended, which is a moment after its client has seen the end.
    private static LaneCall OpenWhenThereIsRoom(LaneFixture fixture)
    {
        long deadline = Environment.TickCount64 + (long)LaneFixture.Deadline.TotalMilliseconds;
        while (true)
        {
            try
            {
                return fixture.Open();
            }
            catch (LaneException) when (Environment.TickCount64 < deadline)
            {
                Thread.Yield();
            }
        }
    }
}
