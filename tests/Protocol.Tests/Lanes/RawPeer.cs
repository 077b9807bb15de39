using System.Buffers.Binary;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes.Http2;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>One end of an HTTP/2 connection, by hand: sends any bytes, and reads frames.</summary>
internal sealed class RawPeer : IDisposable
{
    public static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();
    public static readonly byte[] EmptySettings = Frame(FrameType.Settings, FrameFlags.None, 0, []);

    private readonly Socket _socket;
    private readonly Stream _stream;

    public RawPeer(IPEndPoint server, PeerTls? tls = null)
    {
        _socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _socket.Connect(server);
        _stream = Open(_socket);
        if (tls is not null)
        {
            var secure = new SslStream(_stream);
            _stream = secure;
            secure.AuthenticateAsClient(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                ClientCertificateContext = tls.Certificate,
                ApplicationProtocols = [SslApplicationProtocol.Http2],
                CertificateChainPolicy = tls.PeerPolicy.Clone(),
            });
        }
    }

    public RawPeer(Socket accepted)
    {
        _socket = accepted;
        _stream = Open(accepted);
    }

    public static byte[] Frame(FrameType type, FrameFlags flags, int stream, ReadOnlySpan<byte> payload)
    {
        var frame = new byte[FrameHeader.Size + payload.Length];
        new FrameHeader(payload.Length, type, flags, stream).Write(frame);
        payload.CopyTo(frame.AsSpan(FrameHeader.Size));
        return frame;
    }

    public static byte[] Setting(SettingId id, uint value)
    {
        var payload = new byte[6];
        BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)id);
        BinaryPrimitives.WriteUInt32BigEndian(payload.AsSpan(2), value);
        return Frame(FrameType.Settings, FrameFlags.None, 0, payload);
    }

    public static byte[] WindowUpdate(int stream, uint increment)
    {
        var payload = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(payload, increment);
        return Frame(FrameType.WindowUpdate, FrameFlags.None, stream, payload);
    }

    /// <summary>The header block of a request, with further fields behind the usual ones.</summary>
    public static byte[] RequestBlock(params (string Name, string Value)[] more)
    {
        HpackEncoder block = new HpackEncoder()
            .Indexed(3).Indexed(6).Literal(4, "/test/Lane").Literal(1, "test").Literal(31, "application/grpc");
        foreach ((string name, string value) in more)
        {
            block.Literal(name, value);
        }

        return block.ToArray();
    }

    public static byte[] Request(int stream = 1) => Frame(FrameType.Headers, FrameFlags.EndHeaders, stream, RequestBlock());

    /// <summary>Preface, settings and request: a client that has begun its call.</summary>
    public static byte[] Opening() => [.. Preface, .. EmptySettings, .. Request()];

    /// <summary>One gRPC message.</summary>
    public static byte[] Message(ReadOnlySpan<byte> content, byte compressed = 0)
    {
        var message = new byte[5 + content.Length];
        message[0] = compressed;
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), content.Length);
        content.CopyTo(message.AsSpan(5));
        return message;
    }

    public static byte[] Data(ReadOnlySpan<byte> payload, bool end = false) =>
        Frame(FrameType.Data, end ? FrameFlags.EndStream : FrameFlags.None, 1, payload);

    public void Send(params ReadOnlySpan<byte[]> parts)
    {
        byte[] all = [];
        foreach (byte[] part in parts)
        {
            all = [.. all, .. part];
        }

        _stream.Write(all);
    }

    /// <summary>Sends, and takes no offence at a peer that has closed already.</summary>
    public void TrySend(byte[] bytes)
    {
        try
        {
            Send(bytes);
        }
        catch (IOException)
        {
        }
    }

    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Closes with a TCP reset, as a process that dies with unread data does.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    /// <summary>The next frame, or null when the peer has closed.</summary>
    public (FrameHeader Header, byte[] Payload)? ReadFrame()
    {
        var head = new byte[FrameHeader.Size];
        if (!ReadExactly(head))
        {
            return null;
        }

        FrameHeader header = FrameHeader.Parse(head);
        var payload = new byte[header.Length];
        return ReadExactly(payload) ? (header, payload) : null;
    }

    /// <summary>The next frame of a type; everything before it is passed over.</summary>
    public (FrameHeader Header, byte[] Payload) ReadUntil(FrameType type, Func<FrameHeader, bool>? also = null)
    {
        while (ReadFrame() is { } frame)
        {
            if (frame.Header.Type == type && (also is null || also(frame.Header)))
            {
                return frame;
            }
        }

        throw new IOException($"the connection closed before a frame of type {type} came");
    }

    /// <summary>The code and the text of the first GOAWAY that reports an error; fails when the connection closes without one.</summary>
    public (Http2ErrorCode Code, string Text) ReadError()
    {
        while (true)
        {
            (_, byte[] payload) = ReadUntil(FrameType.GoAway);
            var code = (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload.AsSpan(4));
            if (code != Http2ErrorCode.NoError)
            {
                return (code, Encoding.UTF8.GetString(payload.AsSpan(8)));
            }
        }
    }

    /// <summary>The fields of the HEADERS frame that ends the stream: the trailers.</summary>
    public Dictionary<string, string> ReadTrailers()
    {
        (_, byte[] payload) = ReadUntil(FrameType.Headers, header => header.Has(FrameFlags.EndStream));
        return new HpackDecoder(64 * 1024).Decode(payload).ToDictionary(field => field.Name, field => field.Value);
    }

    /// <summary>Reads until the peer has closed; fails at the deadline when it does not.</summary>
    public void ReadToEnd()
    {
        while (ReadFrame() is not null)
        {
        }
    }

    /// <summary>Reads until the peer has closed, whatever comes.</summary>
    public void ReadToEndOfBytes()
    {
        var scratch = new byte[4096];
        while (ReadExactly(scratch.AsSpan(0, 1)))
        {
        }
    }

    public void Dispose() => _stream.Dispose();

    private static NetworkStream Open(Socket socket)
    {
        socket.NoDelay = true;
        socket.ReceiveTimeout = (int)LaneFixture.Deadline.TotalMilliseconds;
        socket.SendTimeout = (int)LaneFixture.Deadline.TotalMilliseconds;
        return new NetworkStream(socket, ownsSocket: true);
    }

    private bool ReadExactly(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int received;
            try
            {
                received = _stream.Read(into);
            }
            catch (IOException error) when (error.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
            {
                return false;
            }

            if (received == 0)
            {
                return false;
            }

            into = into[received..];
        }

        return true;
    }
}
