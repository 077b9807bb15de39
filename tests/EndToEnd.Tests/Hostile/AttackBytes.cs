using System.Buffers.Binary;
using Google.Protobuf;
using MigrationD.Protocol.Pages;
using static MigrationD.EndToEnd.Tests.Hostile.Http2Bytes;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>The bytes of an attack; the same for the same random numbers.</summary>
internal static class AttackBytes
{
    private static readonly string[] Paths =
    [
        "/migrationd.v1.Transport/Prepare", "/migrationd.v1.Transport/LoadState", "/migrationd.v1.Transport/Run",
        "/migrationd.v1.Transport/QueryOutcome", "/migrationd.v1.Transport/Complete", "/migrationd.v1.Transport/Recover",
        "/migrationd.v1.Transport/Abort", "/migrationd.v1.Control/GetNode", "/migrationd.v1.Control/WatchMigration",
        PageLanePaths.Push, PageLanePaths.Urgent, PageLanePaths.Handover, "/", "/nothing/Here",
    ];

    private static readonly string[] Http1Paths =
    [
        "/metrics", "/", "/api/state", "/api/migrations/x/map", "/migrationd.v1.Transport/Prepare", "/../../etc/passwd", "*",
        "http://a/metrics",
    ];

    public static byte[] Of(Attack attack, Random random) => attack switch
    {
        Attack.Noise => Bytes(random, 1 + random.Next(2000)),
        Attack.RandomFrames => [.. Opening(), .. Many(1 + random.Next(40), () => RandomFrame(random))],
        Attack.MutatedCall => Mutated(Call(random, Message(1, Prepare(random))), random),
        Attack.RandomMessage => Call(random, Message(1, Mutated(Prepare(random), random))),
        Attack.HugeLength => Call(random, Message(1, Bytes(random, random.Next(100)), 0, (uint)random.NextInt64(1 << 20, 1L << 32))),
        Attack.HpackBomb => [.. Opening(), .. Frame(Headers, EndHeaders | EndStream, 1, Bomb(random))],
        Attack.EndlessHeaders =>
        [
            .. Opening(), .. Frame(Headers, 0, 1, RequestBlock("/")),
            .. Many(200, () => Frame(Continuation, 0, 1, Bytes(random, random.Next(4000)))),
        ],
        Attack.FrameFlood => [.. Call(random, []), .. Many(5000, FloodFrame(random))],
        Attack.RapidReset =>
        [
            .. Opening(), .. Enumerable.Range(0, 1000).SelectMany(i => Reset((uint)((2 * i) + 1), Paths[random.Next(Paths.Length)])),
        ],
        Attack.WindowAbuse => [.. Call(random, []), .. Window(random), .. Message(1, Bytes(random, random.Next(2000)))],
        Attack.WrongSecret =>
        [
            .. Opening(),
            .. Request(
                1, random.Next(2) == 0 ? PageLanePaths.Push : PageLanePaths.Urgent,
                [.. LaneMetadata.For(Convert.ToHexStringLower(Bytes(random, 16)), Bytes(random, random.Next(64)))
                    .Select(pair => (pair.Key, pair.Value))]),
            .. Message(1, Bytes(random, random.Next(2000)), 0),
        ],
        // The first byte stays, so that much of what follows is read as HTTP/1.1.
        Attack.MutatedHttp1 => [(byte)"GH"[random.Next(2)], .. Mutated(Http1(random), random)],
        _ => throw new ArgumentOutOfRangeException(nameof(attack)),
    };

    /// <summary>Changes some bytes, leaves some out, doubles some.</summary>
    public static byte[] Mutated(byte[] bytes, Random random)
    {
        List<byte> mutated = [.. bytes];
        for (int change = 1 + random.Next(6); change > 0 && mutated.Count > 0; change--)
        {
            int at = random.Next(mutated.Count);
            int count = Math.Min(1 + random.Next(8), mutated.Count - at);
            switch (random.Next(4))
            {
                case 0:
                    mutated[at] = (byte)random.Next(256);
                    break;
                case 1:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    mutated.RemoveRange(at, count);
                    break;
                default:
                    mutated.InsertRange(at, mutated.GetRange(at, count));
                    break;
            }
        }

        return [.. mutated];
    }

    private static byte[] Http1(Random random)
    {
        string path = Http1Paths[random.Next(Http1Paths.Length)];
        string headers = string.Concat(Enumerable.Range(0, random.Next(80)).Select(i => $"x-{i}: {new string('v', random.Next(400))}\r\n"));
        string body = random.Next(2) == 0 ? "" : "content-length: 4000000000\r\ntransfer-encoding: chunked\r\n";
        string request = $"ET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{body}\r\nG";
        return System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(request, 1 + random.Next(20))));
    }

    private static byte[] Prepare(Random random) => Requests.Prepare($"fuzz{random.Next(1000)}", $"{random.Next()}").ToByteArray();

    private static byte[] Call(Random random, byte[] message) =>
        [.. Opening(), .. Request(1, Paths[random.Next(Paths.Length)]), .. message];

    private static byte[] Bomb(Random random)
    {
        // One large entry for the dynamic table (section 6.2.1), then many references to it of one byte each.
        int size = 1000 + random.Next(3000);
        int rest = size - 127;
        byte[] entry = [0x40, 1, (byte)'a', 127, (byte)((rest & 127) | 128), (byte)(rest >> 7), .. new byte[size]];
        return [.. RequestBlock("/"), .. entry, .. Enumerable.Repeat((byte)0xbe, 1 + random.Next(8000))];
    }

    private static byte[] RandomFrame(Random random) => Frame(
        (byte)random.Next(12), (byte)random.Next(256), (uint)random.Next(5), Bytes(random, random.Next(4) == 0 ? random.Next(300) : random.Next(10)));

    private static Func<byte[]> FloodFrame(Random random)
    {
        byte[] frame = random.Next(4) switch
        {
            0 => Frame(Ping, 0, 0, new byte[8]),
            1 => Frame(Settings, 0, 0),
            2 => Frame(Priority, 0, 3, new byte[5]),
            _ => Frame(Data, 0, 1),
        };
        return () => frame;
    }

    private static byte[] Reset(uint stream, string path) => [.. Request(stream, path), .. Frame(RstStream, 0, stream, 0, 0, 0, 8)];

    private static byte[] Window(Random random)
    {
        byte[] size = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(size, random.Next(3) switch { 0 => 0, 1 => 0x7fff_ffff, _ => (uint)random.Next() });
        return random.Next(3) switch
        {
            0 => Frame(WindowUpdate, 0, (uint)random.Next(4), size),
            1 => Frame(Settings, 0, 0, [0, 4, .. size]),
            // Nothing may be sent to it, and it asks for answers.
            _ => [.. Frame(Settings, 0, 0, 0, 4, 0, 0, 0, 0), .. Many(100, () => Frame(Ping, 0, 0, new byte[8]))],
        };
    }

    private static byte[] Many(int count, Func<byte[]> frame) => [.. Enumerable.Range(0, count).SelectMany(_ => frame())];

    private static byte[] Bytes(Random random, int count)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
