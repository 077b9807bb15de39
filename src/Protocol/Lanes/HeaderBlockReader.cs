using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Lanes;

/// <summary>Collects a header block from a HEADERS frame and the CONTINUATION frames behind it, within bounds, and decodes it.</summary>
internal sealed class HeaderBlockReader(ReceiveBuffer receive, HpackDecoder decoder, int maxBytes)
{
    // A block of the largest list in frames of reasonable size; a flood of tiny ones is cut off.
    private const int MaxFrames = 16;

    private readonly byte[] _block = new byte[maxBytes];

    /// <summary>Reads the rest of the block whose HEADERS frame has the header <paramref name="frame"/>.</summary>
    public List<HeaderField> Read(FrameHeader frame)
    {
        int length = frame.Length;
        int padding = 0;
        if (frame.Has(FrameFlags.Padded))
        {
            padding = TakeFrom(ref length, 1)[0];
        }

        if (frame.Has(FrameFlags.Priority))
        {
            TakeFrom(ref length, 5);
        }

        Http2Exception.ThrowIf(
            padding > length, Http2ErrorCode.ProtocolError, $"HEADERS with {padding} bytes of padding, longer than the frame");
        int filled = Append(0, length - padding);
        receive.Skip(padding);
        bool end = frame.Has(FrameFlags.EndHeaders);
        for (int frames = 1; !end; frames++)
        {
            FrameHeader next = FrameHeader.Parse(receive.Take(FrameHeader.Size));
            Http2Exception.ThrowIf(
                next.Type != FrameType.Continuation || next.StreamId != frame.StreamId,
                Http2ErrorCode.ProtocolError,
                $"a {next.Type} frame of stream {next.StreamId} inside the header block of stream {frame.StreamId}");
            Http2Exception.ThrowIf(frames == MaxFrames, Http2ErrorCode.EnhanceYourCalm, $"a header block of more than {MaxFrames} frames");
            filled = Append(filled, next.Length);
            end = next.Has(FrameFlags.EndHeaders);
        }

        return decoder.Decode(_block.AsSpan(0, filled));
    }

    private ReadOnlySpan<byte> TakeFrom(ref int length, int count)
    {
        Http2Exception.ThrowIf(length < count, Http2ErrorCode.FrameSizeError, "HEADERS too short for its flags");
        length -= count;
        return receive.Take(count);
    }

    private int Append(int filled, int length)
    {
        Http2Exception.ThrowIf(
            length > _block.Length - filled, Http2ErrorCode.EnhanceYourCalm, $"a header block of more than {_block.Length} bytes");
        receive.ReadExactly(_block.AsSpan(filled, length));
        return filled + length;
    }
}
