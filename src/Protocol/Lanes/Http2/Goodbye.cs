using System.Buffers.Binary;
using System.Text;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>Makes the last frames of a connection.</summary>
internal static class Goodbye
{
    // Debug data is for people; a sentence is enough.
    private const int MaxDebugBytes = 400;

    /// <summary>The call is over and so is the connection.</summary>
    public static byte[] Close(int streamId) => GoAway(streamId, Http2ErrorCode.NoError, "");

    /// <summary>The call is given up.</summary>
    public static byte[] Cancel(int streamId) => streamId == 0
        ? GoAway(0, Http2ErrorCode.NoError, "")
        : [.. RstStream(streamId, Http2ErrorCode.Cancel), .. GoAway(streamId, Http2ErrorCode.NoError, "")];

    public static byte[] RstStream(int streamId, Http2ErrorCode code)
    {
        var frame = new byte[FrameHeader.Size + 4];
        new FrameHeader(4, FrameType.RstStream, FrameFlags.None, streamId).Write(frame);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(FrameHeader.Size), (uint)code);
        return frame;
    }

    public static byte[] GoAway(int lastStreamId, Http2ErrorCode code, string why)
    {
        byte[] debug = Encoding.UTF8.GetBytes(why);
        int length = 8 + Math.Min(debug.Length, MaxDebugBytes);
        var frame = new byte[FrameHeader.Size + length];
        new FrameHeader(length, FrameType.GoAway, FrameFlags.None, 0).Write(frame);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(FrameHeader.Size), lastStreamId);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(FrameHeader.Size + 4), (uint)code);
        debug.AsSpan(0, length - 8).CopyTo(frame.AsSpan(FrameHeader.Size + 8));
        return frame;
    }
}
