using System.Runtime.InteropServices;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Both ends are ours: messages, ends, statuses and failures.</summary>
public abstract class LaneCallTests(PeerTls? tls)
{
    private static readonly byte[] Ping = RawPeer.Frame(FrameType.Ping, FrameFlags.None, 0, new byte[8]);

    private LaneFixture Serve(Action<LaneCall> serve) => new(serve, new LaneOptions { Tls = tls });

    private static void Echo(LaneCall call)
    {
        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            var message = new byte[length];
            call.Read(message);
            call.Write(message);
        }
    }

    private static byte[] ReadWhole(LaneCall call)
    {
        Assert.True(call.TryReadMessage(out int length));
        var message = new byte[length];
        call.Read(message);
        return message;
    }

    private static byte[] Pattern(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    [Fact]
    public void Messages_of_every_size_come_back_whole()
    {
        using var fixture = Serve(Echo);
        LaneCall call = fixture.Open();
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            foreach (int size in (int[])[0, 1, 4, 5, 100, 114, 115, 128, 129, 4096, 16384, 65536, 262_144, 2 * 1024 * 1024])
            {
                byte[] sent = Pattern(size, size);
                call.Write(sent);
                Assert.Equal(sent, ReadWhole(call));
            }

            call.FinishWriting();
            Assert.False(call.TryReadMessage(out _));
            Assert.False(call.TryReadMessage(out _));
        }));
    }

    [Fact]
    public unsafe void Head_and_native_payload_are_one_message()
    {
        using var fixture = Serve(Echo);
        LaneCall call = fixture.Open();
        byte[] payload = Pattern(7, 300_000);
        var native = (byte*)NativeMemory.Alloc((nuint)payload.Length);
        try
        {
            Marshal.Copy(payload, 0, (nint)native, payload.Length);
            LaneFixture.Wait(LaneFixture.Run(() =>
            {
                call.Write([1, 2, 3], new NativeBuffer((nint)native, payload.Length));
                Assert.Equal([1, 2, 3, .. payload], ReadWhole(call));
                call.Write([], new NativeBuffer((nint)native, 10));
                Assert.Equal(payload[..10], ReadWhole(call));
            }));
        }
        finally
        {
            NativeMemory.Free(native);
        }
    }

    [Fact]
    public void Both_directions_at_once_with_several_writers()
    {
        const int Messages = 300;
        const int Writers = 3;
        using var fixture = Serve(call =>
        {
            call.Accept();
            Task back = LaneFixture.Run(() => WriteNumbered(call, 99, Messages));
            AssertNumbered(call, Writers, Messages);
            LaneFixture.Wait(back);
        });
        LaneCall call = fixture.Open();
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(writer => LaneFixture.Run(() => WriteNumbered(call, writer, Messages)))];
        Task reader = LaneFixture.Run(() =>
        {
            AssertNumbered(call, 1, Messages);
            Assert.False(call.TryReadMessage(out _));
        });
        LaneFixture.Wait(writers);
        call.FinishWriting();
        LaneFixture.Wait(reader);

        static void WriteNumbered(LaneCall call, int writer, int count)
        {
            var random = new Random(writer);
            for (int number = 0; number < count; number++)
            {
                int length = random.Next(4) == 0 ? random.Next(400_000) : random.Next(100);
                call.Write([(byte)writer, (byte)number, (byte)(number >> 8), .. Pattern((writer * 100_000) + number, length)]);
            }
        }

        static void AssertNumbered(LaneCall call, int writers, int count)
        {
            var next = new Dictionary<byte, int>();
            for (int i = 0; i < writers * count; i++)
            {
                byte[] message = ReadWhole(call);
                int number = message[1] | (message[2] << 8);
                Assert.Equal(next.GetValueOrDefault(message[0]), number);
                next[message[0]] = number + 1;
                Assert.True(message.AsSpan(3).SequenceEqual(Pattern((message[0] * 100_000) + number, message.Length - 3)));
            }
        }
    }

    [Fact]
    public void Reader_goes_on_reading_while_its_answers_cannot_be_sent()
    {
        // The peer reads nothing until it has sent everything, and asks for answers meanwhile. The server's writer fills the
        // connection; if its reader waited to answer, the peer could not finish sending, and neither side would ever go on.
        const int Messages = 100;
        using var fixture = Serve(call =>
        {
            call.Accept();
            Task writer = LaneFixture.Run(() => call.Write(new byte[16 * 1024 * 1024]));
            for (int i = 0; i < Messages; i++)
            {
                Assert.Equal(100_000, ReadWhole(call).Length);
            }

            Assert.False(call.TryReadMessage(out _));
            LaneFixture.Wait(writer);
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            byte[] windows = RawPeer.Setting(SettingId.InitialWindowSize, int.MaxValue);
            peer.Send(RawPeer.Preface, windows, RawPeer.WindowUpdate(0, int.MaxValue - 65_535), RawPeer.Request());
            for (int i = 0; i < Messages; i++)
            {
                peer.Send(Ping, RawPeer.Data(RawPeer.Message(new byte[100_000]), end: i == Messages - 1));
            }

            int answers = 0;
            long data = 0;
            while (peer.ReadFrame() is { } frame)
            {
                answers += frame.Header.Type == FrameType.Ping ? 1 : 0;
                data += frame.Header.Type == FrameType.Data ? frame.Header.Length : 0;
            }

            Assert.Equal(Messages, answers);
            Assert.Equal((16 * 1024 * 1024) + 5, data);
        }));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Small_windows_of_the_peer_are_honoured(bool somebodyReads)
    {
        const int Total = 1_000_000;
        byte[] message = Pattern(5, Total);
        using var fixture = Serve(call =>
        {
            call.Accept();
            Task reader = somebodyReads ? LaneFixture.Run(() => Assert.False(call.TryReadMessage(out _))) : Task.CompletedTask;
            call.Write(message);
            LaneFixture.Wait(reader);
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening());
            var random = new Random(1);
            var received = new List<byte>();
            long window = 65_535;
            while (received.Count < Total + 5)
            {
                (FrameHeader header, byte[] payload) = peer.ReadUntil(FrameType.Data);
                Assert.InRange(header.Length, 1, 16_384);
                window -= header.Length;
                Assert.True(window >= 0, "the window was overrun");
                received.AddRange(payload);
                if (window == 0)
                {
                    // Both windows stand at 0. Only the smaller of the two counts; the connection's is opened first, in parts.
                    uint more = (uint)random.Next(1, 100_000);
                    peer.Send(RawPeer.WindowUpdate(0, more), Ping);
                    peer.ReadUntil(FrameType.Ping);
                    peer.Send(RawPeer.WindowUpdate(1, more));
                    window = more;
                }
            }

            Assert.Equal<byte>(RawPeer.Message(message), received.ToArray());
            peer.Send(RawPeer.Data([], end: true));
            Assert.Equal("0", peer.ReadTrailers()["grpc-status"]);
        }));
    }

    [Fact]
    public void Reader_that_leaves_hands_the_window_over_to_the_writer_that_waits()
    {
        using var fixture = Serve(call =>
        {
            call.Accept();
            Task reader = LaneFixture.Run(() => Assert.Equal([1], ReadWhole(call)));
            call.Write(new byte[100_000]);
            LaneFixture.Wait(reader);
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening());
            int received = 0;
            while (received < 65_535)
            {
                received += peer.ReadUntil(FrameType.Data).Header.Length;
            }

            // The reader takes its message and is gone; what the writer needs comes behind it.
            byte[] message = RawPeer.Data(RawPeer.Message([1]));
            peer.Send(message, RawPeer.WindowUpdate(0, 100_000), RawPeer.WindowUpdate(1, 100_000));
            while (received < 100_005)
            {
                received += peer.ReadUntil(FrameType.Data).Header.Length;
            }
        }));
    }

    [Fact]
    public void Window_that_a_setting_makes_negative_is_waited_out()
    {
        using var fixture = Serve(call =>
        {
            call.Accept();
            ReadWhole(call);
            call.Write(new byte[200]);
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            byte[] message = RawPeer.Data(RawPeer.Message([1]));
            peer.Send(RawPeer.Preface, RawPeer.Setting(SettingId.InitialWindowSize, 100), RawPeer.Request(), message);
            Assert.Equal(100, peer.ReadUntil(FrameType.Data).Header.Length);
            peer.Send(RawPeer.Setting(SettingId.InitialWindowSize, 10), RawPeer.WindowUpdate(1, 90), Ping);
            Assert.Equal(FrameType.Settings, peer.ReadFrame()!.Value.Header.Type);
            Assert.Equal(FrameType.Ping, peer.ReadFrame()!.Value.Header.Type);
            peer.Send(RawPeer.WindowUpdate(1, 1));
            Assert.Equal(1, peer.ReadUntil(FrameType.Data).Header.Length);
            peer.Send(RawPeer.WindowUpdate(1, 104));
            Assert.Equal(104, peer.ReadUntil(FrameType.Data).Header.Length);
        }));
    }

    [Fact]
    public void Abort_wakes_a_reader_and_a_writer_that_wait()
    {
        using var held = new ManualResetEventSlim();
        using var fixture = Serve(call =>
        {
            call.Accept();
            held.Wait(LaneFixture.Deadline);
        });
        LaneCall call = fixture.Open();
        using var writing = new CountdownEvent(2);
        Task reader = LaneFixture.Run(() => AssertAborted(() =>
        {
            writing.Signal();
            call.TryReadMessage(out _);
        }));

        // More than all the buffers of two sockets together hold: with nobody reading it cannot end but by the abort.
        var message = new byte[64 * 1024 * 1024];
        Task writer = LaneFixture.Run(() => AssertAborted(() =>
        {
            writing.Signal();
            call.Write(message);
        }));
        Assert.True(writing.Wait(LaneFixture.Deadline));
        call.Abort("the test says so");
        call.Abort("and again");
        LaneFixture.Wait(reader, writer);
        AssertAborted(() => call.Write([1]));
        AssertAborted(() => call.TryReadMessage(out _));
        held.Set();
    }

    [Fact]
    public void Abort_wakes_a_writer_that_waits_for_window()
    {
        LaneCall? served = null;
        using var stuck = new ManualResetEventSlim();
        using var fixture = Serve(call =>
        {
            served = call;
            call.Accept();
            stuck.Set();
            AssertAborted(() => WriteForever(call));
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening());
            Assert.True(stuck.Wait(LaneFixture.Deadline));
            for (int received = 0; received < 65_535;)
            {
                received += peer.ReadUntil(FrameType.Data).Header.Length;
            }

            served!.Abort("the test says so");
            peer.ReadToEnd();
        }));
    }

    [Fact]
    public void Disposing_wakes_the_peer_and_ones_own_threads()
    {
        using var seen = new ManualResetEventSlim();
        using var fixture = Serve(call =>
        {
            call.Accept();
            Assert.Equal(LaneFailure.Reset, Assert.Throws<LaneException>(() => call.TryReadMessage(out _)).Kind);
            seen.Set();
        });
        LaneCall call = fixture.Open();
        Task reader = LaneFixture.Run(() => Assert.Throws<LaneException>(() => call.TryReadMessage(out _)));
        call.Dispose();
        LaneFixture.Wait(reader);
        Assert.True(seen.Wait(LaneFixture.Deadline));
    }

    [Fact]
    public void Path_and_metadata_arrive()
    {
        string path = "";
        IReadOnlyDictionary<string, string> metadata = new Dictionary<string, string>();
        using var fixture = Serve(call => (path, metadata) = (call.Path, call.Metadata));
        var sent = new Dictionary<string, string> { ["migrationd-session"] = "s 1", ["migrationd-secret-bin"] = "AQID", ["empty"] = "" };
        LaneCall call = fixture.Open("/migrationd.v1.PageLanes/Push", sent);
        Assert.False(call.TryReadMessage(out _));
        Assert.Equal("/migrationd.v1.PageLanes/Push", path);
        Assert.Equal(sent, metadata.Where(one => sent.ContainsKey(one.Key)).ToDictionary());
    }

    [Theory]
    [InlineData("Upper", "1")]
    [InlineData("name", "line\nend")]
    [InlineData("name", "gäst")]
    [InlineData("", "1")]
    [InlineData(":path", "1")]
    public void Metadata_that_cannot_be_sent_is_refused(string name, string value)
    {
        using var fixture = Serve(Echo);
        Assert.Throws<ArgumentException>(() => fixture.Open(metadata: new Dictionary<string, string> { [name] = value }));
        Assert.Throws<ArgumentException>(() => fixture.Open(metadata: new Dictionary<string, string> { ["big"] = new('x', 9000) }));
        Assert.Throws<ArgumentException>(() => fixture.Open("no-slash"));
    }

    [Theory]
    [InlineData("finish")]
    [InlineData("throw")]
    public void Refused_call_says_why(string how)
    {
        const string Why = "no session 'gäst' – 100% sure\nask the operator";
        using var fixture = Serve(call =>
        {
            if (how == "throw")
            {
                throw new Refusal(Because.Untrusted, Why);
            }

            call.Finish(new Refusal(Because.Untrusted, Why));
        });
        var error = Assert.Throws<Refusal>(() => fixture.Open());
        Assert.Equal(Because.Untrusted, error.Why);
        Assert.Equal(Why, error.Message);
    }

    [Fact]
    public void Status_comes_after_the_messages_and_ends_writing()
    {
        using var fixture = Serve(call =>
        {
            call.Accept();
            call.Write([1]);
            call.Write([2]);
            call.Finish(new Refusal(Because.Lost, "the second half is gone"));
            Assert.Throws<InvalidOperationException>(() => call.Write([3]));
            Assert.Throws<InvalidOperationException>(() => call.Finish());
        });
        LaneCall call = fixture.Open();
        Assert.Equal([1], ReadWhole(call));
        Assert.Equal([2], ReadWhole(call));
        for (int again = 0; again < 2; again++)
        {
            var error = Assert.Throws<Refusal>(() => call.TryReadMessage(out _));
            Assert.Equal((Because.Lost, "the second half is gone"), (error.Why, error.Message));
        }

        Assert.Contains("the second half is gone", Assert.Throws<LaneException>(() => call.Write([1])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Handler_that_fails_ends_its_call_with_internal()
    {
        using var fixture = Serve(call =>
        {
            call.Accept();
            call.Write([1]);
            throw new NotSupportedException("the handler's own trouble");
        });
        LaneCall call = fixture.Open();
        Assert.Equal([1], ReadWhole(call));
        var error = Assert.Throws<Refusal>(() => call.TryReadMessage(out _));
        Assert.Equal(Because.Failed, error.Why);
        Assert.DoesNotContain("own trouble", error.Message, StringComparison.Ordinal);
        Assert.Contains("/test/Lane", fixture.Log.Next(), StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_use_is_told_from_a_failure()
    {
        using var fixture = Serve(call =>
        {
            Assert.Throws<InvalidOperationException>(() => call.Write([1]));
            Assert.Throws<InvalidOperationException>(call.FinishWriting);
            Echo(call);
            Assert.Throws<InvalidOperationException>(call.Accept);
        });
        LaneCall call = fixture.Open();
        Assert.Throws<InvalidOperationException>(call.Accept);
        Assert.Throws<InvalidOperationException>(() => call.Finish());
        call.Write([1, 2, 3]);
        Assert.True(call.TryReadMessage(out _));
        Assert.Throws<InvalidOperationException>(() => call.TryReadMessage(out _));
        Assert.Throws<InvalidOperationException>(() => call.Read(new byte[4]));
        call.Read(new byte[2]);
        Assert.Equal(1, call.MessageRemaining);
        call.Read(new byte[1]);
        call.FinishWriting();
        call.FinishWriting();
        Assert.Throws<InvalidOperationException>(() => call.Write([1]));
        Assert.False(call.TryReadMessage(out _));
    }

    [Fact]
    public void Bytes_are_counted_alike_on_both_ends()
    {
        (long Read, long Written) server = default;
        using var fixture = Serve(call =>
        {
            Echo(call);
            server = (call.BytesRead, call.BytesWritten);
            call.Finish();
        });
        LaneCall call = fixture.Open();
        call.Write(new byte[100_000]);
        ReadWhole(call);
        call.FinishWriting();
        Assert.False(call.TryReadMessage(out _));
        Assert.InRange(call.BytesWritten, 100_000, 100_500);
        Assert.Equal(server.Read, call.BytesWritten);
        Assert.InRange(call.BytesRead, server.Written, server.Written + 200);
    }

    [Fact]
    public unsafe void Message_allocates_nothing_on_either_side()
    {
        const int WarmUp = 2000;
        const int Measured = 1000;
        long served = -1;
        using var fixture = Serve(call =>
        {
            call.Accept();
            var page = new byte[4096];
            for (int i = 0; i < WarmUp + Measured; i++)
            {
                if (i == WarmUp)
                {
                    served = -GC.GetAllocatedBytesForCurrentThread();
                }

                Assert.True(call.TryReadMessage(out int length));
                call.Read(page.AsSpan(0, length));
                call.Write(page.AsSpan(0, 8));
            }

            served += GC.GetAllocatedBytesForCurrentThread();
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            LaneCall call = fixture.Open();
            byte* page = (byte*)NativeMemory.AllocZeroed(4096);
            Span<byte> answer = stackalloc byte[8];
            long before = 0;
            for (int i = 0; i < WarmUp + Measured; i++)
            {
                if (i == WarmUp)
                {
                    before = GC.GetAllocatedBytesForCurrentThread();
                }

                call.Write([1, 2, 3], new NativeBuffer((nint)page, 4093));
                call.TryReadMessage(out _);
                call.Read(answer);
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            NativeMemory.Free(page);
            Assert.Equal(0, allocated);
            Assert.False(call.TryReadMessage(out _));
        }));
        Assert.Equal(0, served);
    }

    [Fact]
    public void Peer_that_is_silent_too_long_is_given_up()
    {
        using var held = new ManualResetEventSlim();
        using var fixture = Serve(call =>
        {
            call.Accept();
            held.Wait(LaneFixture.Deadline);
        });
        LaneCall call = fixture.Open(options: new LaneOptions { Tls = tls, IdleTimeout = TimeSpan.FromMilliseconds(200) });
        LaneFixture.Wait(LaneFixture.Run(() =>
            Assert.Equal(LaneFailure.Timeout, Assert.Throws<LaneException>(() => call.TryReadMessage(out _)).Kind)));
        held.Set();
    }

    private static void AssertAborted(Action action)
    {
        var error = Assert.Throws<LaneException>(action);
        Assert.Equal(LaneFailure.Aborted, error.Kind);
        Assert.Contains("the test says so", error.Message, StringComparison.Ordinal);
    }

    private static void WriteForever(LaneCall call)
    {
        var message = new byte[100_000];
        while (true)
        {
            call.Write(message);
        }
    }
}
