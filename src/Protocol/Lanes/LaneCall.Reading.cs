using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using MigrationD.Protocol.Lanes.Http2;

namespace MigrationD.Protocol.Lanes;

/// <content>Messages, out of DATA frames that may be cut anywhere.</content>
public sealed partial class LaneCall
{
    private const int PrefixSize = 5;

    // What is still to come of the open DATA frame, payload and padding, and whether the peer's side ends with it.
    private int _frameRemaining;
    private int _framePadding;
    private bool _endAfterFrame;
    private volatile bool _remoteEnded;
    private Refusal? _endStatus;

    /// <summary>Waits for the peer's next message. False when the peer has said that there are no more.</summary>
    /// <param name="length">Bytes of the message; read them with <see cref="Read"/>.</param>
    /// <exception cref="InvalidOperationException">The previous message has not been read to its end: a bug of the caller.</exception>
    /// <exception cref="Refusal">On a client: the server has ended the call with another status than OK.</exception>
    /// <exception cref="LaneException">The connection failed or the peer broke a rule. The call is over.</exception>
    public bool TryReadMessage(out int length)
    {
        ThrowIfFailed();
        if (MessageRemaining != 0)
        {
            throw new InvalidOperationException($"{MessageRemaining} bytes of the previous message have not been read");
        }

        Monitor.Enter(_reading);
        try
        {
            Span<byte> prefix = stackalloc byte[PrefixSize];
            if (!OpenData())
            {
                length = 0;
                return _endStatus is { } status ? throw new Refusal(status.Why, status.Message) : false;
            }

            ReadData(prefix, "the prefix of a message");
            if (prefix[0] != 0)
            {
                throw new GrpcRuleException(
                    Because.NotSupported,
                    $"a message with compressed flag {prefix[0]}; pages are sent as they are, switch compression off");
            }

            uint announced = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
            if (announced > (uint)_options.MaxMessageBytes)
            {
                throw new GrpcRuleException(
                    Because.Busy,
                    $"a message of {announced} bytes, and at most {_options.MaxMessageBytes} are accepted");
            }

            length = MessageRemaining = (int)announced;
            return true;
        }
        catch (Exception error) when (error is LaneException or Http2Exception or GrpcRuleException)
        {
            throw ReadingFailed(error);
        }
        finally
        {
            LeaveReading();
        }
    }

    /// <summary>
    /// Reads the next bytes of the current message: as many as fit, straight from the socket but for a few that came with headers.
    /// </summary>
    /// <exception cref="InvalidOperationException">The message has fewer bytes left: a bug of the caller.</exception>
    /// <exception cref="Refusal">On a client: the server has ended the call, in the middle of the message.</exception>
    /// <exception cref="LaneException">The connection failed or the peer broke a rule. The call is over.</exception>
    public void Read(Span<byte> into)
    {
        if (into.Length > MessageRemaining)
        {
            throw new InvalidOperationException($"{into.Length} bytes were asked for, and the message has {MessageRemaining} left");
        }

        Monitor.Enter(_reading);
        try
        {
            ThrowIfFailed();
            ReadData(into, "a message");
            MessageRemaining -= into.Length;
        }
        catch (Exception error) when (error is LaneException or Http2Exception or GrpcRuleException)
        {
            throw ReadingFailed(error);
        }
        finally
        {
            LeaveReading();
        }
    }

    /// <summary>
    /// Refuses the current message, which is malformed or asks for what cannot be: tells the peer (a server by the call's status), ends the
    /// call, and gives the exception to throw.
    /// </summary>
    public LaneException Refuse(Because kind, string why)
    {
        lock (_reading)
        {
            return ReadingFailed(new GrpcRuleException(kind, why));
        }
    }

    private void ReadData(Span<byte> into, [ConstantExpected] string what)
    {
        int wanted = into.Length;
        while (!into.IsEmpty)
        {
            if (!OpenData())
            {
                // A server that fails while it writes a message ends the call in the middle of it; then its status says more.
                throw _endStatus is { } status ? new Refusal(status.Why, status.Message) : new GrpcRuleException(
                    Because.Failed, $"the peer ended its side inside {what}: {into.Length} of {wanted} bytes did not come");
            }

            int part = Math.Min(into.Length, _frameRemaining);
            _receive.ReadExactly(into[..part]);
            _frameRemaining -= part;
            into = into[part..];
        }
    }

    /// <summary>Goes on to the next byte of DATA, handling whatever comes before it. False when the peer's side has ended.</summary>
    private bool OpenData()
    {
        while (_frameRemaining == 0)
        {
            ThrowIfFailed();
            CloseFrame();
            if (_remoteEnded)
            {
                return false;
            }

            ReadFrame();
        }

        return true;
    }

    private void CloseFrame()
    {
        if (_framePadding != 0)
        {
            _receive.Skip(_framePadding);
            _framePadding = 0;
        }

        if (_endAfterFrame)
        {
            _endAfterFrame = false;
            _remoteEnded = true;
        }
    }

    /// <summary>
    /// Handles frames for a writer that waits, while nobody else reads and the next thing to come is no message. False when that is for
    /// somebody else to do.
    /// </summary>
    private bool TryPump()
    {
        if (!Monitor.TryEnter(_reading))
        {
            return false;
        }

        try
        {
            ThrowIfFailed();
            if (_frameRemaining != 0)
            {
                return false;
            }

            CloseFrame();
            ReadFrame();
            return _frameRemaining == 0;
        }
        catch (Exception error) when (error is LaneException or Http2Exception or GrpcRuleException)
        {
            throw ReadingFailed(error);
        }
        finally
        {
            Monitor.Exit(_reading);
        }
    }

    // A waiting writer may have found somebody reading, and left the frames to them: from here on nobody reads. The writer says that it
    // waits before it tries, and here it is asked after the lock is free, so one of the two sees the other.
    private void LeaveReading()
    {
        Monitor.Exit(_reading);
        if (Volatile.Read(ref _writerWaits) != 0)
        {
            _windows.Nudge();
        }
    }
}
