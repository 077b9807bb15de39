using System.Globalization;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Wire;

namespace MigrationD.Protocol.Lanes;

/// <content>Failures and ends. Everybody sees the first failure.</content>
public sealed partial class LaneCall
{
    // Bytes that a lingering end throws away at most.
    private const int MaxLingerBytes = 4 * 1024 * 1024;

    private bool _lingers;

    /// <summary>On a server: takes the call. Until then the client's dialling does not return.</summary>
    /// <exception cref="InvalidOperationException">This is a client, or the call is accepted or finished.</exception>
    /// <exception cref="LaneException">The connection failed. The call is over.</exception>
    public void Accept()
    {
        RequireServer();
        lock (_message)
        {
            if (_accepted || _writingEnded)
            {
                throw new InvalidOperationException("the call has been accepted or finished before");
            }

            ThrowIfFailed();
            byte[] block = new HpackEncoder().Indexed(StatusOk).Literal(ContentType, GrpcProtocol.ContentType).ToArray();

            // The connection takes no other call, and says so now: a client with more of them opens more connections at once.
            byte[] frames = [.. HeadersFrame(block, endStream: false), .. Goodbye.Close(_streamId)];
            SendFrame(frames);
            _accepted = true;
        }
    }

    /// <summary>
    /// On a server: ends the call with a status; nothing can be written after it. Instead of <see cref="Accept"/> it refuses the call.
    /// </summary>
    /// <param name="refusal">Why the call ends; up to 4096 bytes of its sentence, as encoded, are sent. Null for OK.</param>
    /// <exception cref="InvalidOperationException">This is a client, or the call is finished.</exception>
    /// <exception cref="LaneException">The connection failed. The call is over.</exception>
    public void Finish(Refusal? refusal = null)
    {
        RequireServer();
        lock (_message)
        {
            if (_writingEnded)
            {
                throw new InvalidOperationException("the call has been finished before");
            }

            ThrowIfFailed();
            _writingEnded = true;
            SendFrame(LastFrames(refusal?.Why, refusal?.Message ?? ""));
        }
    }

    /// <summary>Whether <see cref="Finish"/> can still be called with an effect.</summary>
    internal bool CanFinish => !_writingEnded && Volatile.Read(ref _failure) is null;

    /// <summary>
    /// On a server, after <see cref="Finish"/>: waits until the client has closed the connection, which it does when it has read the
    /// status, for as long as <see cref="LaneOptions.LingerTimeout"/>. A connection closed before with bytes of the client unread would
    /// be reset, and the status lost.
    /// </summary>
    /// <exception cref="LaneException">The client broke a rule after its call.</exception>
    internal void AwaitClose()
    {
        lock (_reading)
        {
            try
            {
                LingerOver(() =>
                {
                    ThrowIfFailed();
                    _receive.Skip(_frameRemaining);
                    _frameRemaining = 0;
                    CloseFrame();
                    ReadFrame();
                });
            }
            catch (Http2Exception error)
            {
                throw ReadingFailed(error);
            }
        }
    }

    private byte[] LastFrames(Because? why, string message, int httpStatus = 200)
    {
        var block = new HpackEncoder();
        if (!_accepted)
        {
            _ = httpStatus == 200 ? block.Indexed(StatusOk) : block.Literal(StatusOk, httpStatus.ToString(CultureInfo.InvariantCulture));
            block.Literal(ContentType, GrpcProtocol.ContentType);
        }

        block.Literal(GrpcProtocol.StatusHeader, ((int)(why ?? 0)).ToString(CultureInfo.InvariantCulture));
        if (message.Length != 0)
        {
            block.Literal(GrpcProtocol.MessageHeader, GrpcStatusMessage.Encode(message, GrpcProtocol.MaxStatusMessageBytes));
        }

        // A client that is still sending is told to stop, without an error (RFC 9113, section 8.1).
        byte[] stop = _remoteEnded ? [] : Goodbye.RstStream(_streamId, Http2ErrorCode.NoError);
        return [.. HeadersFrame(block.ToArray(), endStream: true), .. stop, .. Goodbye.Close(_streamId)];
    }

    private void RequireServer()
    {
        if (!_isServer)
        {
            throw new InvalidOperationException("only a server accepts a call or ends it with a status");
        }
    }

    private void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } failure)
        {
            throw Again(failure);
        }
    }

    private void ThrowIfPeerIsDone()
    {
        if (!_isServer && _remoteEnded)
        {
            string status = _endStatus is null ? "" : $": {_endStatus.Message}";
            throw new LaneException(LaneFailure.PeerClosed, Describe($"the server has ended the call{status}"), _endStatus);
        }

        if (_sendingFailed is { } failure)
        {
            throw Again(failure);
        }
    }

    /// <summary>The reader met an error: tells the peer, ends the lane, and gives the exception to throw.</summary>
    private LaneException ReadingFailed(Exception error)
    {
        LaneException failure;
        if (error is LaneException failed)
        {
            failure = Fail(failed.Kind, failed.Message, failed, default);
            _transport.Interrupt();
            return failure;
        }

        byte[] lastWords = error switch
        {
            Http2Exception broken => Goodbye.GoAway(_streamId, broken.Code, broken.Message),
            GrpcRuleException refusal when _isServer && !_writingEnded && _streamId != 0 =>
                LastFrames(refusal.Why, refusal.Message, refusal.HttpStatus),
            _ => Goodbye.Cancel(_streamId),
        };
        failure = Fail(LaneFailure.ProtocolError, error.Message, error, lastWords);
        _transport.ShutdownSend();
        Volatile.Write(ref _lingers, true);
        return failure;
    }

    /// <summary>
    /// A writer met an error. It fails, and so do writers after it. The reader goes on: what the peer said before it went may be on its
    /// way, and is the better reason.
    /// </summary>
    private LaneException SendingFailed(LaneException error)
    {
        if (Volatile.Read(ref _failure) is { } failure)
        {
            return Again(failure);
        }

        return _sendingFailed ??= new LaneException(error.Kind, Describe(error.Message), error);
    }

    private LaneException Fail(LaneFailure kind, string what, Exception? cause, ReadOnlySpan<byte> lastWords)
    {
        var failure = new LaneException(kind, Describe(what), cause is LaneException { InnerException: { } inner } ? inner : cause);
        if (Interlocked.CompareExchange(ref _failure, failure, null) is { } earlier)
        {
            return Again(earlier);
        }

        SayGoodbye(lastWords);
        _windows.Close();
        return failure;
    }

    private void SayGoodbye(ReadOnlySpan<byte> lastWords)
    {
        // In the middle of a frame nothing else can be said, and a peer that does not read cannot be told.
        if (lastWords.IsEmpty || !Monitor.TryEnter(_sending))
        {
            return;
        }

        try
        {
            if (TrySendControl())
            {
                _ = _transport.TrySend(lastWords);
            }
        }
        catch (LaneException)
        {
            // The connection is gone already.
        }
        finally
        {
            Monitor.Exit(_sending);
        }
    }

    /// <summary>
    /// Receives until the peer closes, within bounds: closing before would reset the connection under our last words.
    /// </summary>
    private void LingerOver(Action receive)
    {
        try
        {
            _receive.Deadline = Environment.TickCount64 + (long)_options.LingerTimeout.TotalMilliseconds;
            for (long end = BytesRead + MaxLingerBytes; BytesRead < end;)
            {
                receive();
            }
        }
        catch (LaneException)
        {
            // Closed, reset or silent: nothing more to wait for.
        }
    }

    private static LaneException Again(LaneException failure) => new(failure.Kind, failure.Message, failure);

    private string Describe(string what)
    {
        string lane = Path.Length == 0 ? "a lane" : $"the lane {Path}";
        string inside = MessageRemaining == 0 ? "" : $"; {MessageRemaining} bytes of a message were still to come";
        return $"{lane} with {RemoteEndPoint}: {what}{inside}";
    }
}

/// <summary>
/// The peer's HTTP/2 is right and its gRPC or its message is not. A server says so in the call's status; the lane ends either way.
/// </summary>
internal sealed class GrpcRuleException(Because why, string message) : Exception(message)
{
    public Because Why { get; } = why;

    /// <summary>The HTTP status, when the request is not even one of gRPC.</summary>
    public int HttpStatus { get; init; } = 200;
}
