using System.Buffers.Binary;
using System.Globalization;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Transport;
using MigrationD.Protocol.Wire;

namespace MigrationD.Protocol.Lanes;

/// <content>The beginning: prefaces, settings, and the headers that open the call.</content>
public sealed partial class LaneCall
{
    // Indices of the static table (RFC 7541, appendix A).
    private const int Authority = 1;
    private const int MethodPost = 3;
    private const int RequestPath = 4;
    private const int SchemeHttp = 6;
    private const int SchemeHttps = 7;
    private const int StatusOk = 8;
    private const int ContentType = 31;
    private const int UserAgent = 58;

    private const int ClientStreamId = 1;

    // The first byte of a client that speaks TLS (RFC 8446, section 5.1).
    private const byte TlsHandshakeRecord = 22;

    private static ReadOnlySpan<byte> ClientPreface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    /// <summary>A server's end of a connection that was just accepted: returns when the client has asked for its call.</summary>
    /// <exception cref="LaneException">What came is no gRPC call, or nothing came in time. The transport is closed.</exception>
    internal static LaneCall Greet(LaneTransport transport, LaneOptions options, Action<LaneCall>? created = null)
    {
        var call = new LaneCall(transport, options, isServer: true);
        created?.Invoke(call);
        call.Begin(() =>
        {
            call.SendFrame(call.FirstFrames());
            for (int i = 0; i < ClientPreface.Length; i++)
            {
                byte next = call._receive.Take(1)[0];
                if (next != ClientPreface[i])
                {
                    string hint = i == 0 && next == TlsHandshakeRecord ? "; it seems to speak TLS, which is not switched on here" : "";
                    throw new Http2Exception(Http2ErrorCode.ProtocolError, $"the peer does not begin with the preface of HTTP/2{hint}");
                }
            }

            while (call._streamId == 0)
            {
                call.ReadFrame();
            }
        });
        return call;
    }

    /// <summary>A client's end: returns when the server has accepted the call.</summary>
    /// <exception cref="Refusal">The server refused it.</exception>
    /// <exception cref="LaneException">The connection failed. The transport is closed.</exception>
    internal static LaneCall Request(
        LaneTransport transport,
        LaneOptions options,
        string path,
        string authority,
        IReadOnlyDictionary<string, string> metadata,
        CancellationToken cancellationToken)
    {
        var call = new LaneCall(transport, options, isServer: false)
        {
            Path = path,
            _streamId = ClientStreamId,
            _highestStreamId = ClientStreamId,
        };
        using (cancellationToken.Register(() => call.Abort("the caller has cancelled it")))
        {
            call.Begin(() =>
            {
                byte[] headers = call.HeadersFrame(RequestBlock(path, authority, metadata, options.Tls is not null), endStream: false);
                call.SendFrame([.. ClientPreface, .. call.FirstFrames(), .. headers]);
                while (!call._accepted)
                {
                    call.ReadFrame();
                }
            });
        }

        if (call._endStatus is { } refused)
        {
            call.Dispose();
            throw refused;
        }

        return call;
    }

    private void Begin(Action handshake)
    {
        try
        {
            lock (_reading)
            {
                try
                {
                    long deadline = Environment.TickCount64 + (long)_options.HandshakeTimeout.TotalMilliseconds;
                    _transport.Open(deadline);
                    _receive.Deadline = deadline;
                    handshake();
                    _receive.Deadline = long.MaxValue;
                }
                catch (Exception error) when (error is LaneException or Http2Exception or GrpcRuleException)
                {
                    throw ReadingFailed(error);
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Our SETTINGS, and the connection's window, which has no setting.</summary>
    private byte[] FirstFrames()
    {
        var settings = new List<(SettingId Id, uint Value)>
        {
            (SettingId.HeaderTableSize, 0),
            (SettingId.InitialWindowSize, ReceiveWindow.Size),
            (SettingId.MaxFrameSize, FrameHeader.MaxLength),
            (SettingId.MaxHeaderListSize, (uint)_options.MaxHeaderListBytes),
            _isServer ? (SettingId.MaxConcurrentStreams, 1) : (SettingId.EnablePush, 0u),
        };
        var frames = new byte[FrameHeader.Size + (6 * settings.Count) + FrameHeader.Size + 4];
        new FrameHeader(6 * settings.Count, FrameType.Settings, FrameFlags.None, 0).Write(frames);
        Span<byte> rest = frames.AsSpan(FrameHeader.Size);
        foreach ((SettingId id, uint value) in settings)
        {
            BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)id);
            BinaryPrimitives.WriteUInt32BigEndian(rest[2..], value);
            rest = rest[6..];
        }

        new FrameHeader(4, FrameType.WindowUpdate, FrameFlags.None, 0).Write(rest);
        BinaryPrimitives.WriteInt32BigEndian(rest[FrameHeader.Size..], ReceiveWindow.Size - 65_535);
        return frames;
    }

    private byte[] HeadersFrame(byte[] block, bool endStream)
    {
        var frame = new byte[FrameHeader.Size + block.Length];
        FrameFlags flags = FrameFlags.EndHeaders | (endStream ? FrameFlags.EndStream : FrameFlags.None);
        new FrameHeader(block.Length, FrameType.Headers, flags, _streamId).Write(frame);
        block.CopyTo(frame, FrameHeader.Size);
        return frame;
    }

    private static byte[] RequestBlock(string path, string authority, IReadOnlyDictionary<string, string> metadata, bool secure)
    {
        HpackEncoder block = new HpackEncoder()
            .Indexed(MethodPost)
            .Indexed(secure ? SchemeHttps : SchemeHttp)
            .Literal(RequestPath, path)
            .Literal(Authority, authority)
            .Literal(ContentType, GrpcProtocol.ContentType)
            .Literal("te", GrpcProtocol.Trailers)
            .Literal(UserAgent, "migrationd");
        foreach ((string name, string value) in metadata)
        {
            block.Literal(name, value, secret: name.EndsWith("-bin", StringComparison.Ordinal));
        }

        return block.ToArray();
    }

    private void OnRequestHeaders(List<HeaderField> fields)
    {
        (Dictionary<string, string> pseudo, Dictionary<string, string> metadata) = HeaderList.Split(fields);
        if (!pseudo.TryGetValue(":method", out string? method)
            || !pseudo.TryGetValue(":path", out string? path)
            || !pseudo.ContainsKey(":scheme")
            || pseudo.ContainsKey(":status"))
        {
            throw new Http2Exception(Http2ErrorCode.ProtocolError, "a request without its :method, :scheme and :path");
        }

        Path = path;
        Metadata = metadata;
        if (method != "POST")
        {
            throw new GrpcRuleException(Because.Failed, $"a request with method {method}, and gRPC has POST only") { HttpStatus = 405 };
        }

        string? type = metadata.GetValueOrDefault("content-type");
        if (!GrpcProtocol.IsGrpc(type))
        {
            throw new GrpcRuleException(Because.Failed, $"a request with content-type '{type}', and this is gRPC") { HttpStatus = 415 };
        }
    }

    private void OnResponseHeaders(List<HeaderField> fields, bool end)
    {
        (Dictionary<string, string> pseudo, Dictionary<string, string> metadata) = HeaderList.Split(fields);
        if (_accepted)
        {
            Http2Exception.ThrowIf(
                !end || pseudo.Count != 0 || _remoteEnded,
                Http2ErrorCode.ProtocolError,
                "HEADERS inside the response that are no trailers");
            OnTrailers(metadata);
            return;
        }

        if (pseudo.Count != 1 || !pseudo.TryGetValue(":status", out string? status))
        {
            throw new Http2Exception(Http2ErrorCode.ProtocolError, "a response without its :status");
        }

        if (status.StartsWith('1') && !end)
        {
            // An interim response; the real one follows.
            _budget.Spend(FrameType.Headers);
            return;
        }

        Metadata = metadata;
        _accepted = true;
        if (end && metadata.ContainsKey(GrpcProtocol.StatusHeader))
        {
            OnTrailers(metadata);
        }
        else if (status != "200" || end || !GrpcProtocol.IsGrpc(metadata.GetValueOrDefault("content-type")))
        {
            _remoteEnded = true;
            _endStatus = new Refusal(
                HttpStatusMapping.ToGrpc(int.TryParse(status, NumberStyles.None, CultureInfo.InvariantCulture, out int http) ? http : 0),
                $"{RemoteEndPoint} answered with HTTP status {status} and no gRPC status; is it a migrationd lane?");
        }
    }

    private void OnTrailers(Dictionary<string, string> trailers)
    {
        if (!trailers.TryGetValue(GrpcProtocol.StatusHeader, out string? value))
        {
            throw new Http2Exception(Http2ErrorCode.ProtocolError, "trailers without a grpc-status");
        }

        if (GrpcProtocol.ParseStatus(value) is { } why)
        {
            _endStatus = new Refusal(why, GrpcStatusMessage.Decode(trailers.GetValueOrDefault(GrpcProtocol.MessageHeader, "")));
        }

        _remoteEnded = true;
        _windows.Nudge();
    }
}
