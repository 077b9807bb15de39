using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes.Http2;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>What a server reads depends on the bytes alone, not on how the network or the client cuts them up.</summary>
public sealed class LaneStreamPropertyTests
{
    private static readonly LaneOptions Options = new() { MaxMessageBytes = 100_000, LingerTimeout = TimeSpan.Zero };

    [Fact]
    public void Any_cut_of_a_stream_gives_the_same_messages()
    {
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            byte[][] messages =
                [.. Enumerable.Range(0, random.Next(0, 6)).Select(_ => Bytes(random, random.Next(random.Next(2) == 0 ? 8 : 40_000)))];
            byte[] stream = [.. RawPeer.Opening(), .. Cut(random, [.. messages.SelectMany(message => RawPeer.Message(message))])];
            var transport = new ScriptedTransport(stream, () => random.Next(3) == 0 ? 1 : random.Next(1, 30_000));
            using LaneCall call = LaneCall.Greet(transport, Options);
            Assert.Equal(messages, ReadAll(call, random));
            Assert.Equal(stream.Length, call.BytesRead);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Any_damage_is_refused_or_read_within_bounds()
    {
        int refused = 0;
        int read = 0;
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            byte[] messages = [.. Enumerable.Range(0, 4).SelectMany(_ => RawPeer.Message(Bytes(random, random.Next(2000))))];
            byte[] stream = [.. RawPeer.Opening(), .. Cut(random, messages)];
            Damage(random, ref stream);
            var transport = new ScriptedTransport(stream, () => random.Next(1, 5000));
            try
            {
                using LaneCall call = LaneCall.Greet(transport, Options);
                foreach (byte[] message in ReadAll(call, random))
                {
                    Assert.True(message.Length <= Options.MaxMessageBytes);
                }

                read++;
            }
            catch (LaneException error)
            {
                Assert.Contains("127.0.0.1:1", error.Message, StringComparison.Ordinal);
                refused++;
            }

            Assert.True(transport.LargestReceive <= Options.MaxMessageBytes);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

        // Damage to content is not ours to notice, and damage to everything else is.
        Assert.True(refused > 300 && read > 300, $"{refused} refused, {read} read");
    }

    [Fact]
    public void Any_bytes_at_all_are_refused()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), garbage =>
        {
            byte[] later = [.. RawPeer.Preface, .. garbage];
            byte[] latest = [.. RawPeer.Preface, .. RawPeer.EmptySettings, .. garbage];
            foreach (byte[] stream in (byte[][])[garbage, later, latest])
            {
                Assert.Throws<LaneException>(() => LaneCall.Greet(new ScriptedTransport(stream, () => 7), Options));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));
    }

    [Fact]
    public void Every_truncation_is_noticed()
    {
        byte[] first = RawPeer.Data(RawPeer.Message([1, 2, 3, 4, 5, 6, 7]));
        byte[] stream = [.. RawPeer.Opening(), .. first, .. RawPeer.Data(RawPeer.Message([]), end: true)];
        for (int length = 0; length < stream.Length; length++)
        {
            var error = Assert.Throws<LaneException>(() =>
            {
                using LaneCall call = LaneCall.Greet(new ScriptedTransport(stream[..length], () => 1000), Options);
                ReadAll(call, new Random(1));
            });
            Assert.Equal(LaneFailure.PeerClosed, error.Kind);
        }
    }

    [Fact]
    public void Payload_is_received_where_it_belongs()
    {
        byte[] payload = Bytes(new Random(1), 65_536);
        byte[] stream = [.. RawPeer.Opening(), .. RawPeer.Data(RawPeer.Message(payload), end: true)];
        var transport = new ScriptedTransport(stream, () => int.MaxValue);
        using LaneCall call = LaneCall.Greet(transport, Options);
        Assert.True(call.TryReadMessage(out int length));
        var into = new byte[length];
        call.Read(into);
        Assert.Equal(payload, into);

        // All but the few bytes that came with the headers came in one piece, into this very buffer.
        Assert.InRange(transport.LargestReceive, length - 256, length);
    }

    private static List<byte[]> ReadAll(LaneCall call, Random random)
    {
        var messages = new List<byte[]>();
        while (call.TryReadMessage(out int length))
        {
            var message = new byte[length];
            while (call.MessageRemaining != 0)
            {
                call.Read(message.AsSpan(length - call.MessageRemaining, random.Next(0, call.MessageRemaining + 1)));
            }

            messages.Add(message);
        }

        return messages;
    }

    /// <summary>DATA frames of any size, some empty, some padded, with the frames in between that a client may send at any time.</summary>
    private static byte[] Cut(Random random, byte[] payload)
    {
        var stream = new List<byte>();
        for (int position = 0; position < payload.Length;)
        {
            int part = Math.Min(random.Next(4) == 0 ? random.Next(0, 7) : random.Next(1, 20_000), payload.Length - position);
            byte[] content = payload[position..(position + part)];
            position += part;
            int padding = random.Next(256);
            stream.AddRange(random.Next(3) == 0
                ? RawPeer.Frame(FrameType.Data, FrameFlags.Padded, 1, [(byte)padding, .. content, .. new byte[padding]])
                : RawPeer.Data(content));
            stream.AddRange(random.Next(8) switch
            {
                0 => RawPeer.Frame(FrameType.Ping, FrameFlags.None, 0, new byte[8]),
                1 => RawPeer.WindowUpdate(random.Next(2), 1),
                2 => RawPeer.Setting(SettingId.InitialWindowSize, (uint)random.Next(100_000)),
                3 => RawPeer.Frame(FrameType.Priority, FrameFlags.None, 1, new byte[5]),
                4 => RawPeer.Frame((FrameType)0xbb, (FrameFlags)0xff, random.Next(5), Bytes(random, random.Next(100))),
                5 => RawPeer.Frame(FrameType.GoAway, FrameFlags.None, 0, [.. new byte[8], .. "bye"u8]),
                _ => [],
            });
        }

        stream.AddRange(RawPeer.Data([], end: true));
        return [.. stream];
    }

    private static void Damage(Random random, ref byte[] stream)
    {
        for (int times = random.Next(1, 5); times != 0; times--)
        {
            int at = random.Next(stream.Length);
            switch (random.Next(4))
            {
                case 0:
                    stream[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    stream[at] = (byte)random.Next(256);
                    break;
                case 2:
                    stream = [.. stream[..at], .. Bytes(random, random.Next(20)), .. stream[at..]];
                    break;
                default:
                    stream = [.. stream[..at], .. stream[Math.Min(stream.Length, at + random.Next(20))..], 0];
                    break;
            }
        }
    }

    private static byte[] Bytes(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
