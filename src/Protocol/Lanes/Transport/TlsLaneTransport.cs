using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// TLS 1.3 over another transport, with SslStream's synchronous calls only: those encrypt, decrypt and do their input and output on the
/// calling thread, through <see cref="WireStream"/>, and never go through the thread pool.
/// </summary>
/// <remarks>
/// SslStream lets one thread read while another writes. Telling the end of TLS is neither, so it is only done while nobody else is in the
/// stream. Native memory is copied natively into staging and encrypted from there: SslStream takes spans, and one over guest RAM must not
/// exist.
/// </remarks>
internal sealed class TlsLaneTransport : LaneTransport
{
    // What SslStream encrypts at a time and passes on in one piece: two records of the largest size (RFC 8446, section 5.1).
    private const int StagingBytes = 32 * 1024;

    // Bytes of a refused peer that are thrown away at most.
    private const int MaxLingerBytes = 256 * 1024;

    private const byte AlertRecord = 21;
    private const byte HandshakeRecord = 22;

    private readonly LaneTransport _wire;
    private readonly PeerTls _tls;
    private readonly string? _host;
    private readonly TimeSpan _linger;
    private readonly WireStream _stream;
    private readonly SslStream _ssl;
    private readonly object _receiving = new();
    private readonly byte[] _staging = GC.AllocateUninitializedArray<byte>(StagingBytes, pinned: true);
    private readonly byte[] _ahead = new byte[1];
    private int _aheadLength;
    private bool _ended;
    private bool _closeSaid;
    private string? _refusal;
    private volatile bool _open;
    private volatile bool _heard;

    /// <summary>Takes over the end that has dialled <paramref name="host"/>; without one, the end that was dialled.</summary>
    public TlsLaneTransport(LaneTransport wire, PeerTls tls, LaneOptions options, string? host = null)
    {
        _wire = wire;
        _tls = tls;
        _host = host;
        _linger = options.LingerTimeout;
        _stream = new WireStream(wire, RequireTls);
        _ssl = new SslStream(_stream, leaveInnerStreamOpen: true);
    }

    public override EndPoint RemoteEndPoint => _wire.RemoteEndPoint;

    private bool IsServer => _host is null;

    public override void Open(long deadline)
    {
        _stream.ReadDeadline = _stream.WriteDeadline = deadline;
        try
        {
            if (IsServer)
            {
                _ssl.AuthenticateAsServer(_tls.ServerOptions(why => _refusal = why));
            }
            else
            {
                _ssl.AuthenticateAsClient(_tls.ClientOptions(_host!, why => _refusal = why));
            }

            if (_ssl.NegotiatedApplicationProtocol != SslApplicationProtocol.Http2)
            {
                throw new LaneException(
                    LaneFailure.ProtocolError, "the TLS handshake failed: the peer does not say by ALPN that it speaks h2");
            }
        }
        catch (Exception error)
        {
            // Whatever a certificate or a delegate leads to concerns this lane only.
            LaneException failure = HandshakeFailed(error);
            if (failure.Kind == LaneFailure.ProtocolError)
            {
                Linger();
            }

            throw failure;
        }
        finally
        {
            _stream.ReadDeadline = _stream.WriteDeadline = long.MaxValue;
        }

        _open = true;
    }

    public override int Receive(Span<byte> into)
    {
        lock (_receiving)
        {
            if (_aheadLength != 0)
            {
                into[0] = _ahead[0];
                _aheadLength = 0;
                return 1;
            }

            return _ended ? 0 : Read(into);
        }
    }

    public override void Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third)
    {
        lock (_stream.Writing)
        {
            try
            {
                _stream.SendKept();
                int staged = Stage(first, 0);
                staged = Stage(second, staged);
                while (third.Length != 0)
                {
                    int part = Math.Min(third.Length, StagingBytes - staged);
                    NativeMemcpy.Copy(third with { Length = part }, _staging.AsSpan(staged));
                    third = new NativeBuffer(third.Address + part, third.Length - part);
                    staged = EncryptWhenFull(staged + part);
                }

                if (staged != 0)
                {
                    _ssl.Write(_staging, 0, staged);
                }
            }
            catch (Exception error) when (IsFailure(error))
            {
                throw Describe(error, "sending");
            }
        }
    }

    /// <summary>
    /// All or nothing: a record cannot be sent in part. What the system does not take of it is kept, and goes out before everything else
    /// and before the reader sleeps.
    /// </summary>
    public override int TrySend(ReadOnlySpan<byte> bytes)
    {
        if (!_open || bytes.IsEmpty)
        {
            return 0;
        }

        lock (_stream.Writing)
        {
            try
            {
                if (!_stream.TrySendKept())
                {
                    return 0;
                }

                _stream.KeepsWhatWouldWait = true;
                _ssl.Write(bytes);
                return bytes.Length;
            }
            catch (Exception error) when (IsFailure(error))
            {
                throw Describe(error, "sending");
            }
            finally
            {
                _stream.KeepsWhatWouldWait = false;
            }
        }
    }

    public override Readiness Wait(Readiness wanted, int timeoutMilliseconds)
    {
        long deadline = timeoutMilliseconds < 0 ? long.MaxValue : Environment.TickCount64 + timeoutMilliseconds;
        if (wanted == Readiness.Readable)
        {
            return ReadAhead(deadline) ? Readiness.Readable : Readiness.None;
        }

        // SslStream may hold bytes that the socket knows nothing of any more.
        Readiness ready = (wanted & Readiness.Readable) != 0 && ReadAhead(0) ? Readiness.Readable : Readiness.None;
        while (ready == Readiness.None)
        {
            Readiness wire = _wire.Wait(wanted, Left(deadline));
            if (wire == Readiness.None)
            {
                break;
            }

            if ((wire & Readiness.Writable) != 0
                && (!_stream.HasKept || _stream.TryWriting(_stream, static stream => stream.TrySendKept())))
            {
                ready |= Readiness.Writable;
            }

            // Perhaps only a part of a record has come, and nothing can be received yet.
            if ((wire & Readiness.Readable) != 0 && ReadAhead(0))
            {
                ready |= Readiness.Readable;
            }
        }

        return ready;
    }

    public override void ShutdownSend()
    {
        TrySayClose();
        _wire.ShutdownSend();
    }

    public override void Interrupt()
    {
        TrySayClose();
        _wire.Interrupt();
    }

    public override void Dispose()
    {
        _ssl.Dispose();
        _wire.Dispose();
    }

    /// <summary>The first bytes of the peer: says so when they are no TLS, which SslStream would take for a strange record.</summary>
    private void RequireTls(ReadOnlySpan<byte> first)
    {
        if (first[0] is HandshakeRecord or AlertRecord)
        {
            return;
        }

        if (!IsServer)
        {
            throw new LaneException(
                LaneFailure.ProtocolError,
                "the peer answers without TLS; lanes there are not served with it, or something else listens there");
        }

        if (first[0] == (byte)'P')
        {
            // The beginning of HTTP/2 without TLS, which can be told in its own language.
            byte[] settings = new byte[FrameHeader.Size];
            new FrameHeader(0, FrameType.Settings, FrameFlags.None, 0).Write(settings);
            byte[] goodbye = Goodbye.GoAway(0, Http2ErrorCode.InadequateSecurity, "this listener takes lanes with TLS only");
            _wire.TrySend([.. settings, .. goodbye]);
        }

        string start = Encoding.ASCII.GetString(first[..Math.Min(first.Length, 16)]);
        string text = string.Concat(start.Select(letter => letter is >= ' ' and <= '~' ? letter : '.'));
        throw new LaneException(
            LaneFailure.ProtocolError, $"the peer speaks without TLS, and this listener takes nothing else; it begins with '{text}'");
    }

    private LaneException HandshakeFailed(Exception error)
    {
        if (error is LaneException { Kind: LaneFailure.ProtocolError } clear)
        {
            return clear;
        }

        if (_refusal is not null)
        {
            return new LaneException(LaneFailure.ProtocolError, $"the TLS handshake failed: the peer is refused: {_refusal}", error);
        }

        return Find<WaitOverException>(error) is null
            ? Failure(error, "the TLS handshake failed")
            : new LaneException(LaneFailure.Timeout, "the TLS handshake was not over before the deadline", error);
    }

    /// <summary>Bytes that nobody reads would make the system reset the connection, and the peer lose what it was told last.</summary>
    private void Linger()
    {
        long deadline = Environment.TickCount64 + (long)_linger.TotalMilliseconds;
        Span<byte> scratch = stackalloc byte[4096];
        try
        {
            _wire.ShutdownSend();
            for (int total = 0, received = 1; received != 0 && total < MaxLingerBytes; total += received)
            {
                received = _wire.Wait(Readiness.Readable, Left(deadline)) == Readiness.None ? 0 : _wire.Receive(scratch);
            }
        }
        catch (LaneException)
        {
            // Reset or closed: nothing more to wait for.
        }
    }

    private int Read(Span<byte> into)
    {
        int received;
        try
        {
            received = _ssl.Read(into);
        }
        catch (Exception error) when (IsFailure(error) && Find<WaitOverException>(error) is null)
        {
            throw Describe(error, "receiving");
        }

        if (received != 0)
        {
            _heard = true;
            return received;
        }

        _ended = true;
        return _heard ? 0 : throw Describe(new LaneException(LaneFailure.PeerClosed, "the peer closed the connection"), "receiving");
    }

    /// <summary>Sees to it that the next <see cref="Receive"/> does not wait. False when the deadline passes first.</summary>
    private bool ReadAhead(long deadline)
    {
        lock (_receiving)
        {
            if (_aheadLength != 0 || _ended)
            {
                return true;
            }

            _stream.ReadDeadline = deadline;
            try
            {
                _aheadLength = Read(_ahead);
                return true;
            }
            catch (Exception error) when (Find<WaitOverException>(error) is not null)
            {
                return false;
            }
            finally
            {
                _stream.ReadDeadline = long.MaxValue;
            }
        }
    }

    private int Stage(ReadOnlySpan<byte> bytes, int staged)
    {
        while (!bytes.IsEmpty)
        {
            int part = Math.Min(bytes.Length, StagingBytes - staged);
            bytes[..part].CopyTo(_staging.AsSpan(staged));
            bytes = bytes[part..];
            staged = EncryptWhenFull(staged + part);
        }

        return staged;
    }

    private int EncryptWhenFull(int staged)
    {
        if (staged < StagingBytes)
        {
            return staged;
        }

        _ssl.Write(_staging, 0, staged);
        return 0;
    }

    /// <summary>Says that nothing more comes (close_notify; RFC 8446, section 6.1), when that goes without waiting for anybody.</summary>
    private void TrySayClose()
    {
        if (!_open || !Monitor.TryEnter(_receiving))
        {
            return;
        }

        try
        {
            _stream.TryWriting(this, static transport => transport.SayClose());
        }
        finally
        {
            Monitor.Exit(_receiving);
        }
    }

    private bool SayClose()
    {
        try
        {
            if (!_closeSaid && _stream.TrySendKept())
            {
                _closeSaid = true;
                _stream.KeepsWhatWouldWait = true;

                // The shutdown has ended when it returns, because the stream under it writes at once.
                _ssl.ShutdownAsync().GetAwaiter().GetResult();
            }
        }
        catch (Exception error) when (IsFailure(error))
        {
            // The connection is gone already.
        }
        finally
        {
            _stream.KeepsWhatWouldWait = false;
        }

        return _closeSaid;
    }

    private LaneException Describe(Exception error, string what)
    {
        LaneException failure = Find<LaneException>(error) ?? Failure(error, $"TLS failed while {what}");

        // In TLS 1.3 a side may refuse a certificate when the other has its handshake behind it.
        return _heard || failure.Kind is not (LaneFailure.PeerClosed or LaneFailure.Reset)
            ? failure
            : new LaneException(
                failure.Kind,
                $"{failure.Message}; nothing came after the TLS handshake, so it may refuse this side's certificate: its log says why",
                failure.InnerException ?? failure);
    }

    private static LaneException Failure(Exception error, string what) => error switch
    {
        _ when Find<LaneException>(error) is { } failure => new LaneException(failure.Kind, $"{what}: {failure.Message}", error),
        ObjectDisposedException closed => ClosedHere(closed),
        InvalidOperationException => new LaneException(LaneFailure.Aborted, "sending was ended on this side", error),

        // A stream that ends too early has no cause below it; whatever TLS itself dislikes has.
        IOException { InnerException: null } => new LaneException(LaneFailure.PeerClosed, $"{what}: the peer closed the connection", error),
        _ => new LaneException(LaneFailure.ProtocolError, $"{what}: {error.GetBaseException().Message}", error),
    };

    /// <summary>What SslStream and the transport under it throw when a connection fails. The rest is a bug of the caller.</summary>
    private static bool IsFailure(Exception error) =>
        error is IOException or LaneException or AuthenticationException or CryptographicException or InvalidOperationException;

    private static T? Find<T>(Exception? error)
        where T : Exception
    {
        while (error is not null and not T)
        {
            error = error.InnerException;
        }

        return error as T;
    }
}
