namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// A window that we give the peer: as large as there can be, and given back in steps of half of it. What holds a fast sender up is
/// TCP, because a lane has one stream and reads it straight from the socket.
/// </summary>
internal sealed class ReceiveWindow
{
    /// <summary>2^31-1, the largest window there is, in bytes.</summary>
    public const int Size = int.MaxValue;

    private const int Step = 1 << 30;

    private long _left = Size;

    /// <summary>Counts <paramref name="length"/> bytes that the peer has sent. Returns what to give back now, or 0.</summary>
    public int Count(int length)
    {
        _left -= length;
        Http2Exception.ThrowIf(_left < 0, Http2ErrorCode.FlowControlError, "the peer has sent more than its window");
        int used = (int)(Size - _left);
        if (used < Step)
        {
            return 0;
        }

        _left = Size;
        return used;
    }
}
