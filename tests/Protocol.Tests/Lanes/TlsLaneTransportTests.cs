using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>What a lane asks of the stream under it, over TLS on a pair of real sockets.</summary>
public sealed class TlsLaneTransportTests : IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly List<IDisposable> _owned = [];

    public void Dispose()
    {
        _owned.ForEach(one => one.Dispose());
        _authority.Dispose();
    }

    [Fact]
    public void Everything_happens_on_the_calling_thread()
    {
        (ThreadBoundTransport nearWire, ThreadBoundTransport farWire) = (new(Connect(out Socket other)), new(Over(other)));
        (TlsLaneTransport near, TlsLaneTransport far) = Wrap(nearWire, farWire);
        var pages = new byte[1024 * 1024];
        Task[] work =
        [
            LaneFixture.Run(() =>
            {
                nearWire.Bind();
                near.Open(Soon());
                near.Send(pages, [1], default);
                Assert.Equal(1, near.TrySend([2]));
                Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, 10_000));
                Assert.Equal(1, near.Receive(new byte[10]));
                near.ShutdownSend();
                Assert.Equal(0, near.Receive(new byte[10]));
            }),
            LaneFixture.Run(() =>
            {
                farWire.Bind();
                far.Open(Soon());
                ReadExactly(far, pages.Length + 2);
                far.Send([1], default, default);
                Assert.Equal(0, far.Receive(new byte[1]));
                far.ShutdownSend();
            }),
        ];
        LaneFixture.Wait(work);
        Assert.True(nearWire.Calls > 30 && farWire.Calls > 30, $"{nearWire.Calls} and {farWire.Calls} calls");
    }

    [Fact]
    public unsafe void Parts_of_any_size_arrive_in_order()
    {
        (TlsLaneTransport near, TlsLaneTransport far) = Pair();
        var random = new Random(1);
        byte* native = (byte*)NativeMemory.Alloc(200_000);
        try
        {
            LaneFixture.Wait(LaneFixture.Run(() =>
            {
                for (int round = 0; round < 200; round++)
                {
                    byte[] first = Bytes(random, Size(random));
                    byte[] second = Bytes(random, Size(random));
                    byte[] third = Bytes(random, Size(random));
                    Marshal.Copy(third, 0, (nint)native, third.Length);
                    Task<byte[]> received = Task.Factory.StartNew(
                        () => ReadExactly(far, first.Length + second.Length + third.Length),
                        CancellationToken.None,
                        TaskCreationOptions.LongRunning,
                        TaskScheduler.Default);
                    near.Send(first, second, new NativeBuffer((nint)native, third.Length));
                    LaneFixture.Wait(received);
                    Assert.True(received.Result.AsSpan().SequenceEqual([.. first, .. second, .. third]), $"round {round}");
                }
            }));
        }
        finally
        {
            NativeMemory.Free(native);
        }

        static int Size(Random random) => random.Next(4) switch
        {
            0 => 0,
            1 => random.Next(1, 50),
            2 => (random.Next(1, 5) * 16 * 1024) + random.Next(-2, 3),
            _ => random.Next(1, 200_000),
        };
    }

    [Fact]
    public void What_lies_decrypted_is_readable()
    {
        (TlsLaneTransport near, TlsLaneTransport far) = Pair();
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            Assert.Equal(Readiness.None, near.Wait(Readiness.Readable, 0));
            Assert.Equal(Readiness.None, near.Wait(Readiness.Readable, 20));
            Assert.Equal(Readiness.Writable, near.Wait(Readiness.Writable, -1));
            Assert.Equal(Readiness.Writable, near.Wait(Readiness.Readable | Readiness.Writable, -1));
            far.Send([1, 2, 3], [4, 5], default);
            Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, 10_000));
            Assert.Equal([1, 2], ReadExactly(near, 2));
            Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, 0));
            Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, -1) & Readiness.Readable);
            Assert.Equal([3], ReadExactly(near, 1));
            Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable | Readiness.Writable, -1) & Readiness.Readable);
            Assert.Equal([4, 5], ReadExactly(near, 2));
            Assert.Equal(Readiness.None, near.Wait(Readiness.Readable, 0));
            far.ShutdownSend();
            Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, 10_000));
            Assert.Equal(0, near.Receive(new byte[1]));
            Assert.Equal(0, near.Receive(new byte[1]));
            near.Send([6], default, default);
            Assert.Equal([6], ReadExactly(far, 1));
        }));
    }

    [Fact]
    public void Bytes_that_the_system_would_not_take_are_sent_by_who_waits_to_receive()
    {
        (TlsLaneTransport near, TlsLaneTransport far) = Pair(new LaneOptions { SendBufferBytes = 8192, ReceiveBufferBytes = 8192 });
        var piece = new byte[251];
        int accepted = 0;
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            for (int sent = near.TrySend(piece); sent != 0; sent = near.TrySend(piece))
            {
                Assert.Equal(piece.Length, sent);
                accepted += sent;
            }
        }));
        Assert.NotEqual(0, accepted);
        Assert.Equal(0, near.TrySend([1]));
        Assert.Equal(Readiness.None, near.Wait(Readiness.Readable | Readiness.Writable, 0));
        Task reader = LaneFixture.Run(() => Assert.Equal(1, near.Receive(new byte[10])));
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            ReadExactly(far, accepted);
            far.Send([1], default, default);
        }));
        LaneFixture.Wait(reader);
        LaneFixture.Wait(LaneFixture.Run(() => Assert.Equal(Readiness.Writable, near.Wait(Readiness.Readable | Readiness.Writable, -1))));
        Assert.Equal(1, near.TrySend([2]));
        Assert.Equal(1, far.Receive(new byte[10]));
    }

    [Fact]
    public void Kept_bytes_go_before_what_is_sent_later()
    {
        (TlsLaneTransport near, TlsLaneTransport far) = Pair(new LaneOptions { SendBufferBytes = 8192, ReceiveBufferBytes = 8192 });
        var sent = new List<byte>();
        Task writer = LaneFixture.Run(() =>
        {
            var random = new Random(3);
            for (int round = 0; round < 2000; round++)
            {
                byte[] bytes = Bytes(random, random.Next(1, 600));
                int taken = round % 7 == 0 ? bytes.Length : near.TrySend(bytes);
                if (round % 7 == 0)
                {
                    near.Send(bytes, default, default);
                }

                sent.AddRange(bytes[..taken]);
            }

            near.Send([255], default, default);
            sent.Add(255);
            near.ShutdownSend();
        });
        var received = new List<byte>();
        LaneFixture.Wait(writer, LaneFixture.Run(() =>
        {
            var buffer = new byte[1000];
            for (int length = far.Receive(buffer); length != 0; length = far.Receive(buffer))
            {
                received.AddRange(buffer[..length]);
            }
        }));
        Assert.Equal(sent, received);
    }

    [Theory]
    [InlineData("receive")]
    [InlineData("send")]
    [InlineData("wait")]
    public void Interrupt_wakes_who_waits(string how)
    {
        (TlsLaneTransport near, TlsLaneTransport _) = Pair();
        using var begun = new ManualResetEventSlim();
        Task waiting = LaneFixture.Run(() =>
        {
            begun.Set();
            try
            {
                switch (how)
                {
                    case "receive":
                        Assert.Equal(0, near.Receive(new byte[1]));
                        break;
                    case "send":
                        near.Send(new byte[64 * 1024 * 1024], default, default);
                        Assert.Fail("it was sent");
                        break;
                    default:
                        Assert.Equal(Readiness.Readable, near.Wait(Readiness.Readable, -1));
                        break;
                }
            }
            catch (LaneException)
            {
                // As good a way to come back.
            }
        });
        Assert.True(begun.Wait(LaneFixture.Deadline));
        near.Interrupt();
        LaneFixture.Wait(waiting);
        Assert.Throws<LaneException>(() => near.Send([1], default, default));
    }

    private static long Soon() => Environment.TickCount64 + (long)LaneFixture.Deadline.TotalMilliseconds;

    private static byte[] Bytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static byte[] ReadExactly(TlsLaneTransport transport, int length)
    {
        var bytes = new byte[length];
        for (int position = 0; position < length;)
        {
            int received = transport.Receive(bytes.AsSpan(position));
            Assert.True(received > 0, $"the stream ended after {position} of {length} bytes");
            position += received;
        }

        return bytes;
    }

    private SocketLaneTransport Connect(out Socket other, LaneOptions? options = null)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        SocketLaneTransport.SizeBuffers(listener, options ?? new LaneOptions());
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var dialled = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        SocketLaneTransport.SizeBuffers(dialled, options ?? new LaneOptions());
        dialled.Connect(listener.LocalEndPoint!);
        other = listener.Accept();
        return Over(dialled);
    }

    private SocketLaneTransport Over(Socket socket)
    {
        var transport = new SocketLaneTransport(socket, new LaneOptions());
        _owned.Add(transport);
        return transport;
    }

    private (TlsLaneTransport Near, TlsLaneTransport Far) Wrap(LaneTransport near, LaneTransport far)
    {
        PeerTls tls = _authority.Tls();
        var wrapped = (
            Near: new TlsLaneTransport(near, tls, new LaneOptions(), "localhost"),
            Far: new TlsLaneTransport(far, tls, new LaneOptions()));
        _owned.Add(wrapped.Near);
        _owned.Add(wrapped.Far);
        return wrapped;
    }

    /// <summary>Both ends, open.</summary>
    private (TlsLaneTransport Near, TlsLaneTransport Far) Pair(LaneOptions? options = null)
    {
        SocketLaneTransport wire = Connect(out Socket other, options);
        (TlsLaneTransport near, TlsLaneTransport far) = Wrap(wire, Over(other));
        LaneFixture.Wait(LaneFixture.Run(() => near.Open(Soon())), LaneFixture.Run(() => far.Open(Soon())));
        return (near, far);
    }
}
