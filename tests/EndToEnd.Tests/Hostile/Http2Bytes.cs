using System.Buffers.Binary;
using System.Text;

namespace MigrationD.EndToEnd.Tests.Hostile;

/// <summary>HTTP/2 (RFC 9113) by hand, without any rule kept that a caller does not keep.</summary>
internal static class Http2Bytes
{
    public const byte Data = 0;
    public const byte Headers = 1;
    public const byte Priority = 2;
    public const byte RstStream = 3;
    public const byte Settings = 4;
    public const byte Ping = 6;
    public const byte WindowUpdate = 8;
    public const byte Continuation = 9;

    public const byte EndStream = 1;
    public const byte EndHeaders = 4;

    public static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    public static byte[] Frame(byte type, byte flags, uint stream, params ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[9 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, ((uint)payload.Length << 8) | type);
        frame[4] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        return frame;
    }

    /// <summary>Preface and empty settings.</summary>
    public static byte[] Opening() => [.. Preface, .. Frame(Settings, 0, 0)];

    /// <summary>The header block of a gRPC request.</summary>
    public static byte[] RequestBlock(string path, params (string Name, string Value)[] metadata)
    {
        // :method POST and :scheme http of the static table; then literals without indexing (RFC 7541, section 6.2.2).
        List<byte> block = [0x83, 0x86, 0x04, .. Text(path), 0x01, .. Text("peer"), 0x0f, 31 - 15, .. Text("application/grpc")];
        foreach ((string name, string value) in metadata.Append(("te", "trailers")))
        {
            block.AddRange([0x00, .. Text(name), .. Text(value)]);
        }

        return [.. block];
    }

    public static byte[] Request(uint stream, string path, params (string Name, string Value)[] metadata) =>
        Frame(Headers, EndHeaders, stream, RequestBlock(path, metadata));

    /// <summary>A gRPC message in a DATA frame, with a length that the caller may lie about.</summary>
    public static byte[] Message(uint stream, ReadOnlySpan<byte> content, byte flags = EndStream, uint? length = null)
    {
        byte[] message = new byte[5 + content.Length];
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(1), length ?? (uint)content.Length);
        content.CopyTo(message.AsSpan(5));
        return Frame(Data, flags, stream, message);
    }

    private static byte[] Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return bytes.Length < 127 ? [(byte)bytes.Length, .. bytes] : [.. Integer(bytes.Length), .. bytes];
    }

    /// <summary>An integer with a prefix of 7 bits (RFC 7541, section 5.1).</summary>
    private static byte[] Integer(int value)
    {
        List<byte> bytes = [127];
        for (value -= 127; value >= 128; value >>= 7)
        {
            bytes.Add((byte)(value | 128));
        }

        return [.. bytes, (byte)value];
    }
}
