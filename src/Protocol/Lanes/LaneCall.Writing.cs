using System.Buffers.Binary;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes;

/// <content>Messages into DATA frames, as many at a time as the peer's windows allow; usually one.</content>
public sealed partial class LaneCall
{
    // A writer waits for window; LeaveReading looks at this.
    private int _writerWaits;
    private long _sent;
    private bool _accepted;
    private volatile bool _writingEnded;
    private LaneException? _sendingFailed;

    /// <summary>Sends one message. Waits for the peer's window and for the socket.</summary>
    /// <exception cref="InvalidOperationException">This side has finished, or has not accepted the call: a bug of the caller.</exception>
    /// <exception cref="LaneException">The connection failed; whether the peer has the message is not known. The call is over.</exception>
    public void Write(ReadOnlySpan<byte> message) => Write(message, default);

    /// <summary>
    /// Sends one message made of two parts, the second straight from where it lies; one system call when the windows allow.
    /// </summary>
    /// <exception cref="InvalidOperationException">This side has finished, or has not accepted the call: a bug of the caller.</exception>
    /// <exception cref="LaneException">The connection failed; whether the peer has the message is not known. The call is over.</exception>
    public void Write(ReadOnlySpan<byte> head, NativeBuffer payload)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(payload.Length, nameof(payload));
        int length = checked(head.Length + payload.Length);
        lock (_message)
        {
            RequireWritable();
            SendMessage(length, head, payload);
        }
    }

    /// <summary>
    /// Shows the peer that this side lives (PING), and makes it show the same. Never waits, any thread may call it, and a lane that is over
    /// is left alone: its reader says why.
    /// </summary>
    public void Ping()
    {
        // What waits to be sent says as much, and a peer that takes nothing shall not fill the queue.
        if (Volatile.Read(ref _failure) is not null || _control.IsPending)
        {
            return;
        }

        _control.Add(new FrameHeader(8, FrameType.Ping, FrameFlags.None, 0), [0, 0, 0, 0, 0, 0, 0, 0]);
        try
        {
            TrySendControl();
        }
        catch (LaneException)
        {
            // The reader meets the same error, or what the peer said before it.
        }
    }

    /// <summary>On a client: says that there are no more messages. The server's messages and its status may still come.</summary>
    /// <exception cref="InvalidOperationException">This is a server, which ends with <see cref="Finish"/>.</exception>
    /// <exception cref="LaneException">The connection failed. The call is over.</exception>
    public void FinishWriting()
    {
        if (_isServer)
        {
            throw new InvalidOperationException("a server ends its side with Finish, because gRPC wants a status");
        }

        lock (_message)
        {
            if (!_writingEnded)
            {
                ThrowIfFailed();
                Span<byte> frame = stackalloc byte[FrameHeader.Size];
                new FrameHeader(0, FrameType.Data, FrameFlags.EndStream, _streamId).Write(frame);
                SendFrame(frame);
                _writingEnded = true;
            }
        }
    }

    private void SendMessage(int length, ReadOnlySpan<byte> head, NativeBuffer payload)
    {
        // The frame header and, in the first frame, the prefix behind it. A window may end inside the prefix.
        Span<byte> start = stackalloc byte[FrameHeader.Size + PrefixSize];
        Span<byte> prefix = stackalloc byte[PrefixSize];
        prefix[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(prefix[1..], length);
        int prefixLeft = PrefixSize;
        while (prefixLeft + head.Length + payload.Length != 0)
        {
            int room = AwaitWindow(prefixLeft + head.Length + payload.Length);
            new FrameHeader(room, FrameType.Data, FrameFlags.None, _streamId).Write(start);
            int prefixPart = Math.Min(prefixLeft, room);
            prefix.Slice(PrefixSize - prefixLeft, prefixPart).CopyTo(start[FrameHeader.Size..]);
            int headPart = Math.Min(head.Length, room - prefixPart);
            int payloadPart = room - prefixPart - headPart;
            SendFrame(start[..(FrameHeader.Size + prefixPart)], head[..headPart], payload with { Length = payloadPart });
            prefixLeft -= prefixPart;
            head = head[headPart..];
            payload = new NativeBuffer(payload.Address + payloadPart, payload.Length - payloadPart);
        }
    }

    /// <summary>Takes window for at least one byte and at most one frame, waiting for it if need be.</summary>
    private int AwaitWindow(int wanted)
    {
        int room = _windows.TryTake(wanted);
        if (room != 0)
        {
            return room;
        }

        try
        {
            while (true)
            {
                long changes = _windows.Changes;
                ThrowIfFailed();
                ThrowIfPeerIsDone();
                room = _windows.TryTake(wanted);
                if (room != 0)
                {
                    return room;
                }

                Interlocked.Exchange(ref _writerWaits, 1);
                if (!TryPump())
                {
                    _windows.WaitForChange(changes);
                }
            }
        }
        finally
        {
            Volatile.Write(ref _writerWaits, 0);
        }
    }

    /// <summary>Sends one whole frame. Frames that the reader owes go first.</summary>
    private void SendFrame(ReadOnlySpan<byte> start, ReadOnlySpan<byte> head = default, NativeBuffer payload = default)
    {
        try
        {
            lock (_sending)
            {
                if (_control.IsPending)
                {
                    SendControl();
                }

                _transport.Send(start, head, payload);
                Volatile.Write(ref _sent, _sent + start.Length + head.Length + payload.Length);
            }

            // The reader leaves its frames to the thread that is sending, perhaps just before the lock was free.
            while (_control.IsPending)
            {
                lock (_sending)
                {
                    SendControl();
                }
            }
        }
        catch (LaneException error)
        {
            throw SendingFailed(error);
        }
    }

    private void SendControl()
    {
        Span<byte> frames = stackalloc byte[256];
        for (int length = _control.CopyTo(frames); length != 0; length = _control.CopyTo(frames))
        {
            _transport.Send(frames[..length]);
            _control.Remove(length);
            Volatile.Write(ref _sent, _sent + length);
        }
    }

    /// <summary>Sends what the reader owes without ever waiting. False when the socket would not take all of it.</summary>
    private bool TrySendControl()
    {
        if (!Monitor.TryEnter(_sending))
        {
            return true;
        }

        try
        {
            Span<byte> frames = stackalloc byte[256];
            for (int length = _control.CopyTo(frames); length != 0; length = _control.CopyTo(frames))
            {
                int sent = _transport.TrySend(frames[..length]);
                _control.Remove(sent);
                Volatile.Write(ref _sent, _sent + sent);
                if (sent < length)
                {
                    return false;
                }
            }

            return true;
        }
        finally
        {
            Monitor.Exit(_sending);
        }
    }

    /// <summary>Sends what the reader owes, before every receive: the one place where the reader may wait.</summary>
    private void BeforeReceive(int timeoutMilliseconds)
    {
        while (_control.IsPending)
        {
            try
            {
                if (TrySendControl())
                {
                    return;
                }
            }
            catch (LaneException)
            {
                // Sending is broken. What the peer said before that may still be there, and may say why.
                return;
            }

            if (_transport.Wait(Readiness.Readable | Readiness.Writable, timeoutMilliseconds) != Readiness.Writable)
            {
                return;
            }
        }
    }

    private void RequireWritable()
    {
        if (_writingEnded)
        {
            throw new InvalidOperationException("this side of the call has been finished");
        }

        ThrowIfFailed();
        ThrowIfPeerIsDone();
        if (!_accepted)
        {
            throw new InvalidOperationException("the call has not been accepted yet");
        }
    }
}
