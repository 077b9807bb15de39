using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace MigrationD.Protocol.Grpc;

/// <summary>A message on the wire: a flag that says whether it is compressed, four bytes of length (big endian), the message.</summary>
internal static class MessageFrame
{
    /// <summary>One byte of flag and four of length.</summary>
    public const int PrefixBytes = 1 + sizeof(uint);

    /// <summary>Appends <paramref name="message"/>, uncompressed.</summary>
    public static void Write(IBufferWriter<byte> output, IMessage message)
    {
        Span<byte> prefix = output.GetSpan(PrefixBytes);
        prefix[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(prefix[1..], checked((uint)message.CalculateSize()));
        output.Advance(PrefixBytes);
        message.WriteTo(output);
    }
}
