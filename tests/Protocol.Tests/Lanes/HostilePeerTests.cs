using System.Net;
using System.Net.Sockets;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>
/// Peers that break rules, over real sockets: each is told what it did wrong and cut off, it is logged, and the lanes of others go on.
/// </summary>
public sealed class HostilePeerTests
{
    private static readonly byte[] Block = RawPeer.RequestBlock();

    /// <summary>What is wrong; the bytes; the code of the GOAWAY; what its text and the log contain.</summary>
    private static readonly (string Wrong, byte[] Bytes, Http2ErrorCode Code, string Text)[] Violations =
    [
        ("HTTP/1.1", "GET / HTTP/1.1\r\n\r\n"u8.ToArray(), Http2ErrorCode.ProtocolError, "preface"),
        ("TLS", [0x16, 3, 1, 2, 0, 1, 0, 1], Http2ErrorCode.ProtocolError, "preface"),
        ("no SETTINGS first", [.. RawPeer.Preface, .. RawPeer.Request()], Http2ErrorCode.ProtocolError, "first frame is Headers"),
        ("acknowledgement first", [.. RawPeer.Preface, .. Frame(FrameType.Settings, FrameFlags.Ack, 0)],
            Http2ErrorCode.ProtocolError, "first frame"),
        ("SETTINGS of 5 bytes", [.. RawPeer.Preface, .. Frame(FrameType.Settings, 0, 0, 5)], Http2ErrorCode.FrameSizeError, "5 bytes"),
        ("SETTINGS on a stream", Begun(Frame(FrameType.Settings, 0, 1, 6)), Http2ErrorCode.ProtocolError, "on stream 1"),
        ("SETTINGS acknowledgement with content", Begun(Frame(FrameType.Settings, FrameFlags.Ack, 0, 6)),
            Http2ErrorCode.FrameSizeError, "6 bytes"),
        ("two acknowledgements", Begun(Frame(FrameType.Settings, FrameFlags.Ack, 0), Frame(FrameType.Settings, FrameFlags.Ack, 0)),
            Http2ErrorCode.ProtocolError, "not sent"),
        ("window size", Begun(RawPeer.Setting(SettingId.InitialWindowSize, 1u << 31)),
            Http2ErrorCode.FlowControlError, "INITIAL_WINDOW_SIZE"),
        ("frame size too small", Begun(RawPeer.Setting(SettingId.MaxFrameSize, 16383)), Http2ErrorCode.ProtocolError, "16383"),
        ("frame size too big", Begun(RawPeer.Setting(SettingId.MaxFrameSize, 1 << 24)), Http2ErrorCode.ProtocolError, "16777216"),
        ("push setting", Begun(RawPeer.Setting(SettingId.EnablePush, 2)), Http2ErrorCode.ProtocolError, "ENABLE_PUSH"),
        ("window update by 0", Begun(RawPeer.WindowUpdate(0, 0)), Http2ErrorCode.ProtocolError, "by 0"),
        ("stream window update by 0", Begun(RawPeer.WindowUpdate(1, 0)), Http2ErrorCode.ProtocolError, "by 0"),
        ("connection window overflow", Begun(RawPeer.WindowUpdate(0, 0x7fff_ffff)), Http2ErrorCode.FlowControlError, "connection window"),
        ("stream window overflow", Begun(RawPeer.WindowUpdate(1, 0x7fff_ffff)), Http2ErrorCode.FlowControlError, "stream window"),
        ("window overflow by setting",
            Begun(RawPeer.WindowUpdate(1, 0x7fff_ffff - 65_535), RawPeer.Setting(SettingId.InitialWindowSize, 65_536)),
            Http2ErrorCode.FlowControlError, "stream window"),
        ("window update on an idle stream", Begun(RawPeer.WindowUpdate(3, 1)), Http2ErrorCode.ProtocolError, "idle"),
        ("window update of 3 bytes", Begun(Frame(FrameType.WindowUpdate, 0, 0, 3)), Http2ErrorCode.FrameSizeError, "3 bytes"),
        ("PING of 7 bytes", Begun(Frame(FrameType.Ping, 0, 0, 7)), Http2ErrorCode.FrameSizeError, "7 bytes"),
        ("PING on a stream", Begun(Frame(FrameType.Ping, 0, 1, 8)), Http2ErrorCode.ProtocolError, "on stream 1"),
        ("GOAWAY of 7 bytes", Begun(Frame(FrameType.GoAway, 0, 0, 7)), Http2ErrorCode.FrameSizeError, "7 bytes"),
        ("RST_STREAM of an idle stream", Begun(Frame(FrameType.RstStream, 0, 3, 4)), Http2ErrorCode.ProtocolError, "idle"),
        ("RST_STREAM of 5 bytes", Begun(Frame(FrameType.RstStream, 0, 1, 5)), Http2ErrorCode.FrameSizeError, "5 bytes"),
        ("push", Begun(Frame(FrameType.PushPromise, FrameFlags.EndHeaders, 1, 4)), Http2ErrorCode.ProtocolError, "PUSH_PROMISE"),
        ("stray CONTINUATION", Begun(Frame(FrameType.Continuation, FrameFlags.EndHeaders, 1)),
            Http2ErrorCode.ProtocolError, "CONTINUATION"),
        ("DATA on stream 0", Begun(Frame(FrameType.Data, 0, 0, 1)), Http2ErrorCode.ProtocolError, "stream 0"),
        ("DATA on an idle stream", Begun(Frame(FrameType.Data, 0, 3, 1)), Http2ErrorCode.ProtocolError, "stream 3"),
        ("DATA before HEADERS", [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. RawPeer.Data([1])],
            Http2ErrorCode.ProtocolError, "not open"),
        ("padding beyond the frame", Begun(RawPeer.Frame(FrameType.Data, FrameFlags.Padded, 1, [2, 0])),
            Http2ErrorCode.ProtocolError, "padding"),
        ("padded frame without padding", Begun(Frame(FrameType.Data, FrameFlags.Padded, 1)), Http2ErrorCode.FrameSizeError, "padding"),
        ("DATA after END_STREAM", Begun(RawPeer.Data([], end: true), RawPeer.Data([1])), Http2ErrorCode.StreamClosed, "after END_STREAM"),
        ("HEADERS after END_STREAM", Begun(RawPeer.Data([], end: true), RawPeer.Request()), Http2ErrorCode.ProtocolError, "HEADERS"),
        ("HEADERS in the request", Begun(RawPeer.Request()), Http2ErrorCode.ProtocolError, "do not end it"),
        ("HEADERS on an even stream", Begun(RawPeer.Request(2)), Http2ErrorCode.ProtocolError, "stream 2"),
        ("big frame that is no DATA", Begun(Frame((FrameType)99, 0, 0, 16_385)[..9]), Http2ErrorCode.FrameSizeError, "16385"),
        ("no path", Headers([0x83, 0x86]), Http2ErrorCode.ProtocolError, ":path"),
        ("a field twice", Headers([.. Block, 0x83]), Http2ErrorCode.ProtocolError, "twice or behind"),
        ("a response", Headers([.. RawPeer.RequestBlock()[..1], 0x88, .. Block[1..]]), Http2ErrorCode.ProtocolError, "without its"),
        ("a name in upper case", Headers(RawPeer.RequestBlock(("Upper", "1"))), Http2ErrorCode.ProtocolError, "name"),
        ("a line end in a value", Headers(RawPeer.RequestBlock(("a", "1\r\nb: 2"))), Http2ErrorCode.ProtocolError, "line end"),
        ("a field of HTTP/1.1", Headers(RawPeer.RequestBlock(("connection", "close"))), Http2ErrorCode.ProtocolError, "name"),
        ("an unknown pseudo-header field", Headers([.. new HpackEncoder().Literal(":evil", "1").ToArray(), .. Block[1..]]),
            Http2ErrorCode.ProtocolError, "pseudo-header"),
        ("broken HPACK", Headers([0xff, 0xff, 0xff, 0xff, 0xff]), Http2ErrorCode.CompressionError, "too large"),
        ("HPACK bomb", Headers([0x40, 1, (byte)'a', 0x7f, 0xa1, 0x1e, .. new byte[4000], .. Enumerable.Repeat((byte)0xbe, 1000)]),
            Http2ErrorCode.EnhanceYourCalm, "header list"),
        ("header block beyond the bound", Headers(new byte[8193]), Http2ErrorCode.EnhanceYourCalm, "header block of more than 8192"),
        ("HEADERS too short for its flags",
            [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. Frame(FrameType.Headers, FrameFlags.Priority, 1, 4)],
            Http2ErrorCode.FrameSizeError, "flags"),
        ("HEADERS padding beyond the frame",
            [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. RawPeer.Frame(FrameType.Headers, FrameFlags.Padded, 1, [9, 1])],
            Http2ErrorCode.ProtocolError, "padding"),
        ("other frame inside a header block", Open(0, [Frame(FrameType.Ping, 0, 0, 8)]),
            Http2ErrorCode.ProtocolError, "inside the header block"),
        ("CONTINUATION flood", Open(0, [.. Enumerable.Repeat(Frame(FrameType.Continuation, 0, 1), 10_000)]),
            Http2ErrorCode.EnhanceYourCalm, "more than 16 frames"),
        ("CONTINUATION without end", Open(0, [.. Enumerable.Repeat(Frame(FrameType.Continuation, 0, 1, 4000), 10)]),
            Http2ErrorCode.EnhanceYourCalm, "8192 bytes"),
        ("SETTINGS flood", Begun([.. Enumerable.Repeat(RawPeer.EmptySettings, 20_000)]), Http2ErrorCode.EnhanceYourCalm, "Settings"),
        ("PING flood", Begun([.. Enumerable.Repeat(Frame(FrameType.Ping, 0, 0, 8), 20_000)]), Http2ErrorCode.EnhanceYourCalm, ""),
        ("empty DATA flood", Begun([.. Enumerable.Repeat(RawPeer.Data([]), 20_000)]), Http2ErrorCode.EnhanceYourCalm, "Data"),
        ("PRIORITY flood", Begun([.. Enumerable.Repeat(Frame(FrameType.Priority, 0, 1, 5), 20_000)]),
            Http2ErrorCode.EnhanceYourCalm, "Priority"),
        ("stream flood", Begun([.. Enumerable.Range(1, 20_000).Select(i => RawPeer.Request((2 * i) + 1))]),
            Http2ErrorCode.EnhanceYourCalm, ""),
    ];

    public static TheoryData<string> Names() => [.. Violations.Select(violation => violation.Wrong)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rule_of_http2_is_enforced(string wrong)
    {
        (_, byte[] bytes, Http2ErrorCode code, string text) = Violations.Single(violation => violation.Wrong == wrong);
        using var fixture = new LaneFixture(Swallow);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            LaneCall other = fixture.Open("/test/Other");
            RawPeer peer = fixture.Connect();
            peer.TrySend(bytes);
            (Http2ErrorCode sent, string why) = peer.ReadError();
            Assert.Equal(code, sent);
            Assert.Contains(text, why, StringComparison.Ordinal);
            peer.ReadToEnd();
            peer.Dispose();
            Assert.Contains(text, fixture.Log.Next(), StringComparison.Ordinal);
            AssertServes(other);
            AssertServes(fixture.Open("/test/Other"));
        }));
    }

    [Theory]
    [InlineData(1, 5, Because.NotSupported, "compressed flag 1")]
    [InlineData(2, 5, Because.NotSupported, "compressed flag 2")]
    [InlineData(0, 1001, Because.Busy, "a message of 1001 bytes, and at most 1000")]
    [InlineData(0, int.MaxValue, Because.Busy, "at most 1000")]
    [InlineData(0, -1, Because.Busy, "a message of 4294967295 bytes")]
    public void Rule_of_grpc_is_answered_with_a_status(byte compressed, int length, Because status, string text)
    {
        using var fixture = new LaneFixture(Swallow, new LaneOptions { MaxMessageBytes = 1000 });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            byte[] prefix = [compressed, (byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length];
            peer.Send(RawPeer.Opening(), RawPeer.Data([.. prefix, 1, 2, 3]));
            Dictionary<string, string> trailers = peer.ReadTrailers();
            Assert.Equal($"{(int)status}", trailers["grpc-status"]);
            Assert.Contains(text, trailers["grpc-message"], StringComparison.Ordinal);
            peer.ReadToEnd();
            peer.Dispose();
            Assert.Contains(text, fixture.Log.Next(), StringComparison.Ordinal);
            AssertServes(fixture.Open("/test/Other"));
        }));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void Half_closing_inside_a_message_is_answered_with_a_status(int bytes)
    {
        using var fixture = new LaneFixture(Swallow);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening(), RawPeer.Data(RawPeer.Message(new byte[100])[..bytes], end: true));
            Assert.Contains("ended its side inside", peer.ReadTrailers()["grpc-message"], StringComparison.Ordinal);
            peer.ReadToEnd();
        }));
    }

    [Theory]
    [InlineData(":method", "GET", "405")]
    [InlineData("content-type", "application/json", "415")]
    [InlineData("content-type", "application/grpc-web", "415")]
    public void Request_that_is_not_grpc_is_answered_in_http(string name, string value, string status)
    {
        using var fixture = new LaneFixture(Swallow);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            byte[] block = new HpackEncoder()
                .Literal(":method", name == ":method" ? value : "POST").Indexed(6).Literal(4, "/test/Lane")
                .Literal("content-type", name == "content-type" ? value : "application/grpc").ToArray();
            peer.Send(Headers(block));
            Assert.Equal(status, peer.ReadTrailers()[":status"]);
            peer.ReadToEnd();
            peer.Dispose();
            Assert.Contains(value, fixture.Log.Next(), StringComparison.Ordinal);
        }));
    }

    [Fact]
    public void Second_call_on_the_connection_is_refused_and_the_first_goes_on()
    {
        using var fixture = new LaneFixture(Echo);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening(), RawPeer.Request(3), RawPeer.Frame(FrameType.Data, 0, 3, new byte[3000]));
            (_, byte[] code) = peer.ReadUntil(FrameType.RstStream, header => header.StreamId == 3);
            Assert.Equal((byte)Http2ErrorCode.RefusedStream, code[3]);
            peer.Send(RawPeer.Data(RawPeer.Message([1, 2, 3])));
            Assert.Equal(RawPeer.Message([1, 2, 3]), peer.ReadUntil(FrameType.Data).Payload);
        }));
    }

    [Fact]
    public void Ping_and_settings_are_answered()
    {
        using var fixture = new LaneFixture(Echo);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening(), RawPeer.Frame(FrameType.Ping, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
            peer.ReadUntil(FrameType.Settings, header => header.Has(FrameFlags.Ack));
            (FrameHeader header, byte[] payload) = peer.ReadUntil(FrameType.Ping);
            Assert.True(header.Has(FrameFlags.Ack));
            Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], payload);
        }));
    }

    [Fact]
    public void Request_in_pieces_with_padding_and_priority_is_accepted()
    {
        using var fixture = new LaneFixture(Echo);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            byte[] first = [4, 0, 0, 0, 0, 16, .. Block[..5], 0, 0, 0, 0];
            peer.Send(
                RawPeer.Preface,
                RawPeer.EmptySettings,
                RawPeer.Frame(FrameType.Headers, FrameFlags.Padded | FrameFlags.Priority, 7, first),
                RawPeer.Frame(FrameType.Continuation, 0, 7, []),
                RawPeer.Frame(FrameType.Continuation, FrameFlags.EndHeaders, 7, Block[5..]),
                RawPeer.Frame(FrameType.Data, FrameFlags.Padded, 7, [3, .. RawPeer.Message([5]), 0, 0, 0]));
            Assert.Equal(RawPeer.Message([5]), peer.ReadUntil(FrameType.Data, header => header.StreamId == 7).Payload);
        }));
    }

    [Fact]
    public void Peer_that_asks_and_never_reads_is_cut_off()
    {
        using var fixture = new LaneFixture(Swallow, new LaneOptions { SendBufferBytes = 4096 });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening());
            byte[] pings = [.. Enumerable.Repeat(Frame(FrameType.Ping, 0, 0, 8), 500).SelectMany(frame => frame)];

            // The rate or the room for answers runs out, whichever is first; both bounds end it.
            Assert.ThrowsAny<IOException>(() => SendForever(peer, pings));
            Assert.Contains("127.0.0.1", fixture.Log.Next(), StringComparison.Ordinal);
            AssertServes(fixture.Open("/test/Other"));
        }));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Client_that_does_not_come_to_its_call_is_dropped_at_the_deadline(bool talks)
    {
        using var fixture = new LaneFixture(Swallow, new LaneOptions { HandshakeTimeout = TimeSpan.FromMilliseconds(200) });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Preface, RawPeer.EmptySettings);
            if (talks)
            {
                // Always something to read, never a request.
                Assert.ThrowsAny<IOException>(() => SendForever(peer, RawPeer.WindowUpdate(0, 1)));
            }
            else
            {
                peer.ReadToEnd();
            }

            Assert.Contains("before the deadline", fixture.Log.Next(), StringComparison.Ordinal);
        }));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Peer_that_dies_inside_a_message_is_noticed(bool reset)
    {
        LaneException? failure = null;
        using var fixture = new LaneFixture(call =>
        {
            call.Accept();
            failure = Assert.Throws<LaneException>(() => Echo(call, accept: false));
            throw failure;
        });
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            RawPeer peer = fixture.Connect();
            peer.Send(RawPeer.Opening(), RawPeer.Data(RawPeer.Message(new byte[1000])[..500]));
            peer.ReadUntil(FrameType.Headers);
            if (reset)
            {
                peer.Reset();
            }
            else
            {
                peer.EndSending();
            }

            Assert.Contains("bytes of a message were still to come", fixture.Log.Next(), StringComparison.Ordinal);
        }));
        Assert.Equal(reset ? LaneFailure.Reset : LaneFailure.PeerClosed, failure!.Kind);
    }

    [Theory]
    [InlineData("nothing", LaneFailure.Timeout)]
    [InlineData("close", LaneFailure.PeerClosed)]
    [InlineData("garbage", LaneFailure.ProtocolError)]
    [InlineData("HTTP/1.1", LaneFailure.ProtocolError)]
    [InlineData("DATA first", LaneFailure.ProtocolError)]
    [InlineData("RST_STREAM", LaneFailure.Reset)]
    [InlineData("GOAWAY", LaneFailure.Reset)]
    [InlineData("no status", LaneFailure.ProtocolError)]
    [InlineData("push", LaneFailure.ProtocolError)]
    public void Hostile_server_does_not_harm_a_client(string what, LaneFailure expected)
    {
        byte[] headers = new HpackEncoder().Indexed(8).Literal(31, "application/grpc").ToArray();
        byte[] accept = RawPeer.Frame(FrameType.Headers, FrameFlags.EndHeaders, 1, headers);
        byte[] answer = what switch
        {
            "garbage" => [.. Enumerable.Repeat((byte)0xa5, 5000)],
            "HTTP/1.1" => "HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray(),
            "DATA first" => [.. RawPeer.EmptySettings, .. RawPeer.Data([1, 2, 3])],
            "RST_STREAM" => [.. RawPeer.EmptySettings, .. RawPeer.Frame(FrameType.RstStream, 0, 1, [0, 0, 0, 7])],
            "GOAWAY" => [.. RawPeer.EmptySettings, .. RawPeer.Frame(FrameType.GoAway, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xb, .. "calm"u8])],
            "no status" => [.. RawPeer.EmptySettings, .. accept, .. RawPeer.Data([], end: true)],
            "push" => [.. RawPeer.Setting(SettingId.EnablePush, 1)],
            _ => [],
        };
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        Task server = LaneFixture.Run(() =>
        {
            using var peer = new RawPeer(socket.Accept());
            peer.Send(answer);
            if (what == "close")
            {
                peer.EndSending();
            }

            peer.ReadToEndOfBytes();
        });
        Task client = LaneFixture.Run(() =>
        {
            var options = new LaneOptions { HandshakeTimeout = TimeSpan.FromSeconds(what == "nothing" ? 0.3 : 10) };
            var error = Assert.Throws<LaneException>(() =>
            {
                using LaneCall call = LaneClient.Open(
                    socket.LocalEndPoint!, "/test/Lane", new Dictionary<string, string>(), options, CancellationToken.None);
                call.TryReadMessage(out _);
            });
            Assert.Equal(expected, error.Kind);
            Assert.Contains("/test/Lane", error.Message, StringComparison.Ordinal);
            Assert.Contains($"{socket.LocalEndPoint}", error.Message, StringComparison.Ordinal);
        });
        LaneFixture.Wait(server, client);
    }

    private static byte[] Frame(FrameType type, FrameFlags flags, int stream, int length = 0) =>
        RawPeer.Frame(type, flags, stream, new byte[length]);

    private static byte[] Begun(params byte[][] then) => [.. RawPeer.Opening(), .. then.SelectMany(frame => frame)];

    private static byte[] Headers(byte[] block) =>
        [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. RawPeer.Frame(FrameType.Headers, FrameFlags.EndHeaders, 1, block)];

    /// <summary>A header block that is not ended, and what follows.</summary>
    private static byte[] Open(int length, byte[][] then) =>
        [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. Frame(FrameType.Headers, 0, 1, length), .. then.SelectMany(frame => frame)];

    private static void SendForever(RawPeer peer, byte[] bytes)
    {
        while (true)
        {
            peer.Send(bytes);
        }
    }

    private static void AssertServes(LaneCall call)
    {
        call.Write([1, 2, 3]);
        Assert.True(call.TryReadMessage(out int length));
        Assert.Equal(3, length);
        call.Read(new byte[3]);
        call.FinishWriting();
        Assert.False(call.TryReadMessage(out _));
    }

    private static void Swallow(LaneCall call)
    {
        if (call.Path == "/test/Other")
        {
            Echo(call);
            return;
        }

        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            call.Read(new byte[length]);
        }
    }

    private static void Echo(LaneCall call) => Echo(call, accept: true);

    private static void Echo(LaneCall call, bool accept)
    {
        if (accept)
        {
            call.Accept();
        }

        while (call.TryReadMessage(out int length))
        {
            var message = new byte[length];
            call.Read(message);
            call.Write(message);
        }
    }
}
