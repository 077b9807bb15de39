using System.Buffers.Binary;

namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>
/// Frames that the reading thread owes the peer (acknowledgements, window updates). They wait here because the reader must never wait
/// for the socket to take them: with both sides' readers waiting to send, nobody would read, and both would wait for ever.
/// </summary>
internal sealed class ControlQueue
{
    // A peer that reads cannot make us owe more than this; a peer that does not read what it asks for is cut off.
    private const int Capacity = 4096;

    private readonly byte[] _bytes = new byte[Capacity];
    private int _length;

    /// <summary>Whether something waits. May be asked without the lock.</summary>
    public bool IsPending => Volatile.Read(ref _length) != 0;

    public void Add(FrameHeader header, ReadOnlySpan<byte> payload)
    {
        lock (_bytes)
        {
            int end = _length + FrameHeader.Size + payload.Length;
            Http2Exception.ThrowIf(end > Capacity, Http2ErrorCode.EnhanceYourCalm, "the peer asks for answers faster than it reads them");
            header.Write(_bytes.AsSpan(_length));
            payload.CopyTo(_bytes.AsSpan(_length + FrameHeader.Size));
            Volatile.Write(ref _length, end);
        }
    }

    public void AddWindowUpdate(int streamId, int increment)
    {
        Span<byte> payload = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(payload, increment);
        Add(new FrameHeader(4, FrameType.WindowUpdate, FrameFlags.None, streamId), payload);
    }

    /// <summary>Copies what waits. The caller holds the right to send, so only it removes.</summary>
    public int CopyTo(Span<byte> into)
    {
        lock (_bytes)
        {
            int length = Math.Min(_length, into.Length);
            _bytes.AsSpan(0, length).CopyTo(into);
            return length;
        }
    }

    /// <summary>Removes the first <paramref name="count"/> bytes, which have been sent.</summary>
    public void Remove(int count)
    {
        lock (_bytes)
        {
            _bytes.AsSpan(count, _length - count).CopyTo(_bytes);
            Volatile.Write(ref _length, _length - count);
        }
    }
}
