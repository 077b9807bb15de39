using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// Receives through a small buffer, so that headers come with few system calls, and past it, so that payload goes from the socket to
/// where it belongs. The buffer is the most that is ever copied of a payload.
/// </summary>
internal sealed class ReceiveBuffer(LaneTransport transport, Action<int> beforeReceive)
{
    /// <summary>The buffer's bytes; a frame header, a gRPC prefix and the fields before a page run's data are about 40.</summary>
    public const int Capacity = 128;

    private readonly byte[] _bytes = new byte[Capacity];
    private int _start;
    private int _end;
    private long _received;

    /// <summary>How many bytes have been received from the transport. Any thread may ask.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>Until when bytes have to come, as Environment.TickCount64 counts.</summary>
    public long Deadline { get; set; } = long.MaxValue;

    /// <summary>Takes the next <paramref name="count"/> bytes, at most <see cref="Capacity"/>; valid until the next call.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (_end - _start < count)
        {
            Fill(count);
        }

        _start += count;
        return _bytes.AsSpan(_start - count, count);
    }

    /// <summary>Reads exactly as many bytes as fit.</summary>
    public void ReadExactly(Span<byte> into)
    {
        int buffered = Math.Min(into.Length, _end - _start);
        if (buffered != 0)
        {
            _bytes.AsSpan(_start, buffered).CopyTo(into);
            _start += buffered;
            into = into[buffered..];
        }

        while (!into.IsEmpty)
        {
            into = into[Receive(into)..];
        }
    }

    /// <summary>Reads and forgets.</summary>
    public void Skip(int count)
    {
        int buffered = Math.Min(count, _end - _start);
        _start += buffered;
        count -= buffered;
        Span<byte> scratch = stackalloc byte[Math.Min(count, 4096)];
        while (count != 0)
        {
            count -= Receive(scratch[..Math.Min(count, scratch.Length)]);
        }
    }

    /// <summary>Waits for bytes and forgets whatever comes.</summary>
    public void Discard()
    {
        _start = _end = 0;
        Span<byte> scratch = stackalloc byte[4096];
        Receive(scratch);
    }

    private void Fill(int count)
    {
        _bytes.AsSpan(_start, _end - _start).CopyTo(_bytes);
        _end -= _start;
        _start = 0;
        while (_end < count)
        {
            _end += Receive(_bytes.AsSpan(_end));
        }
    }

    private int Receive(Span<byte> into)
    {
        beforeReceive(LaneTransport.Left(Deadline));

        // The deadline counts even when bytes are there: a peer that sends one at a time would else have for ever.
        int left = LaneTransport.Left(Deadline);
        if (left == 0 || (left > 0 && transport.Wait(Readiness.Readable, left) == Readiness.None))
        {
            throw new LaneException(LaneFailure.Timeout, "the peer did not send what was due before the deadline");
        }

        int received = transport.Receive(into);
        if (received == 0)
        {
            throw new LaneException(LaneFailure.PeerClosed, "the peer closed the connection");
        }

        Volatile.Write(ref _received, _received + received);
        return received;
    }
}
