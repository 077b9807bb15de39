using MigrationD.Protocol.Lanes.Contract;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// What SslStream takes for its connection: records go to and come from a transport, on the calling thread. It can be told to read no
/// longer than a deadline, and to write without waiting; what the system does not take then is kept and goes first the next time.
/// </summary>
internal sealed class WireStream(LaneTransport wire, Action<ReadOnlySpan<byte>> begun) : Stream
{
    // Held around every write. A reader that finds it taken leaves what was kept to the writer, who sends it first.
    private readonly object _writing = new();

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

    /// <summary>Until when a read may wait, as Environment.TickCount64 counts. The reader's own.</summary>
    public long ReadDeadline { get; set; } = long.MaxValue;

    /// <summary>How a write waits. The writer's own: set it while holding <see cref="EnterWriting"/>.</summary>
    public long WriteDeadline { get; set; } = long.MaxValue;

    /// <summary>Whether writes keep what cannot be sent at once. As <see cref="WriteDeadline"/>.</summary>
    public bool KeepsWhatWouldWait { get; set; }

    /// <summary>Whether something is kept. Any thread may ask.</summary>
    public bool HasKept => Volatile.Read(ref _keptEnd) != 0;

    /// <summary>Takes the right to write, waiting for whoever has it.</summary>
    public void EnterWriting() => Monitor.Enter(_writing);

    /// <summary>Takes the right to write when it is free.</summary>
    public bool TryEnterWriting() => Monitor.TryEnter(_writing);

    /// <summary>Gives the right to write back.</summary>
    public void ExitWriting() => Monitor.Exit(_writing);

    /// <summary>
    /// Sends what was kept, as far as that goes without waiting. True when nothing is left. For who holds the right to write.
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

    /// <summary>Sends what was kept and waits until the system has taken it. For who holds the right to write.</summary>
    public void SendKept()
    {
        if (_keptEnd != 0)
        {
            wire.Send(_kept.AsSpan(_keptStart, _keptEnd - _keptStart), default, default);
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

        if (ReadDeadline != long.MaxValue && wire.Wait(Readiness.Readable, Left(ReadDeadline)) == Readiness.None)
        {
            throw new WaitOverException();
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
            wire.Send(buffer, default, default);
        }
        else
        {
            for (int sent = wire.TrySend(buffer); sent != buffer.Length; sent = wire.TrySend(buffer))
            {
                buffer = buffer[sent..];
                if (wire.Wait(Readiness.Writable, Left(WriteDeadline)) == Readiness.None)
                {
                    throw new WaitOverException();
                }
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>SslStream says its last words asynchronously only. They are written here and now all the same.</summary>
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

    /// <summary>Milliseconds until a deadline; -1 when there is none.</summary>
    internal static int Left(long deadline) =>
        deadline == long.MaxValue ? -1 : (int)Math.Clamp(deadline - Environment.TickCount64, 0, int.MaxValue);

    /// <summary>Who reads must not sleep on what the peer may be waiting for.</summary>
    private void SendKeptOrAwaitBytes()
    {
        while (HasKept)
        {
            Readiness ready = wire.Wait(Readiness.Readable | Readiness.Writable, Left(ReadDeadline));
            if (ready == Readiness.None)
            {
                throw new WaitOverException();
            }

            if ((ready & Readiness.Writable) != 0)
            {
                if (!TryEnterWriting())
                {
                    return;
                }

                try
                {
                    TrySendKept();
                }
                catch (LaneException)
                {
                    // Sending is broken. What the peer said before that may still be there, and may say why.
                    ForgetKept();
                }
                finally
                {
                    ExitWriting();
                }
            }

            if ((ready & Readiness.Readable) != 0)
            {
                return;
            }
        }
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
