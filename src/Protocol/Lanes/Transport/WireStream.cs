using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// The stream that SslStream takes for its connection: records go to and come from a transport, on the calling thread. It can be told to
/// read no longer than a deadline, and to write without waiting; what the system does not take then is kept and goes first the next time.
/// </summary>
internal sealed class WireStream(LaneTransport wire, Action<ReadOnlySpan<byte>> begun) : Stream
{
    private bool _begun;
    private byte[] _kept = [];
    private int _keptStart;
    private int _keptEnd;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// The right to write, held around every write. A reader that finds it taken leaves what was kept to the writer, who sends it first.
    /// </summary>
    public Lock Writing { get; } = new();

    /// <summary>Until when a read may wait, as Environment.TickCount64 counts. It belongs to the reader.</summary>
    public long ReadDeadline { get; set; } = long.MaxValue;

    /// <summary>Until when a write may wait. It belongs to the writer: set it while holding <see cref="Writing"/>.</summary>
    public long WriteDeadline { get; set; } = long.MaxValue;

    /// <summary>Whether writes keep what cannot be sent at once. It belongs to the writer, as <see cref="WriteDeadline"/> does.</summary>
    public bool KeepsWhatWouldWait { get; set; }

    /// <summary>Whether something is kept. Any thread may ask.</summary>
    public bool HasKept => Volatile.Read(ref _keptEnd) != 0;

    /// <summary>Does what needs the right to write, when that is free; false when it is not, or the work says so.</summary>
    public bool TryWriting<T>(T on, Func<T, bool> work)
    {
        if (!Writing.TryEnter())
        {
            return false;
        }

        try
        {
            return work(on);
        }
        finally
        {
            Writing.Exit();
        }
    }

    /// <summary>
    /// Sends what was kept, as far as that goes without waiting. True when nothing is left. The caller holds <see cref="Writing"/>.
    /// </summary>
    public bool TrySendKept()
    {
        if (_keptEnd == 0)
        {
            return true;
        }

        _keptStart += wire.TrySend(_kept.AsSpan(_keptStart, _keptEnd - _keptStart));
        if (_keptStart != _keptEnd)
        {
            return false;
        }

        ForgetKept();
        return true;
    }

    /// <summary>Sends what was kept and waits until the system has taken it. The caller holds <see cref="Writing"/>.</summary>
    public void SendKept()
    {
        if (_keptEnd != 0)
        {
            wire.Send(_kept.AsSpan(_keptStart, _keptEnd - _keptStart));
            ForgetKept();
        }
    }

    public override int Read(Span<byte> buffer)
    {
        // SslStream asks for nothing first, for streams that can wait without a buffer.
        if (buffer.IsEmpty)
        {
            return 0;
        }

        if (HasKept)
        {
            SendKeptOrAwaitBytes();
        }

        if (ReadDeadline != long.MaxValue)
        {
            AwaitWire(Readiness.Readable, ReadDeadline);
        }

        int received = wire.Receive(buffer);
        if (!_begun && received != 0)
        {
            _begun = true;
            begun(buffer[..received]);
        }

        return received;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (KeepsWhatWouldWait)
        {
            Keep(buffer[(TrySendKept() ? wire.TrySend(buffer) : 0)..]);
        }
        else if (WriteDeadline == long.MaxValue)
        {
            wire.Send(buffer);
        }
        else
        {
            for (int sent = wire.TrySend(buffer); sent != buffer.Length; sent = wire.TrySend(buffer))
            {
                buffer = buffer[sent..];
                AwaitWire(Readiness.Writable, WriteDeadline);
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>Writes here and now: SslStream says its last words asynchronously only.</summary>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private Readiness AwaitWire(Readiness wanted, long deadline) =>
        wire.Wait(wanted, LaneTransport.Left(deadline)) is not Readiness.None and var ready ? ready : throw new WaitOverException();

    /// <summary>Sends what is kept before the reader sleeps: the peer may be waiting for it.</summary>
    private void SendKeptOrAwaitBytes()
    {
        while (HasKept)
        {
            Readiness ready = AwaitWire(Readiness.Readable | Readiness.Writable, ReadDeadline);
            bool isTheWriters = (ready & Readiness.Writable) != 0 && !TryWriting(this, static stream => stream.SendKeptOrForget());
            if (isTheWriters || (ready & Readiness.Readable) != 0)
            {
                return;
            }
        }
    }

    private bool SendKeptOrForget()
    {
        try
        {
            TrySendKept();
        }
        catch (LaneException)
        {
            // Sending is broken. What the peer said before that may still be there, and may say why.
            ForgetKept();
        }

        return true;
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return;
        }

        if (_kept.Length - _keptEnd < bytes.Length)
        {
            Array.Resize(ref _kept, _keptEnd + bytes.Length);
        }

        bytes.CopyTo(_kept.AsSpan(_keptEnd));
        Volatile.Write(ref _keptEnd, _keptEnd + bytes.Length);
    }

    private void ForgetKept()
    {
        _keptStart = 0;
        Volatile.Write(ref _keptEnd, 0);
    }
}
