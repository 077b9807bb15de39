using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>The yardstick: a blocking socket on which both ends know the size of every message.</summary>
internal sealed class RawSocket : IDisposable
{
    /// <summary>Bytes of a request for one page; about what a lane's request is with its framing.</summary>
    public const int RequestSize = 24;

    private readonly Socket _socket;

    public RawSocket(Socket connected)
    {
        _socket = connected;
        _socket.NoDelay = true;
    }

    /// <summary>Dials and says what is wanted: messages of this size up to a total, or 0 to be answered a page for each request.</summary>
    public static RawSocket Open(IPEndPoint endPoint, int messageBytes, long totalBytes)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(endPoint);
        var raw = new RawSocket(socket);
        Span<byte> order = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(order, messageBytes);
        BinaryPrimitives.WriteInt64LittleEndian(order[4..], totalBytes);
        raw.Write(order);
        return raw;
    }

    public (int MessageBytes, long TotalBytes) ReadOrder()
    {
        Span<byte> order = stackalloc byte[12];
        Read(order);
        return (BinaryPrimitives.ReadInt32LittleEndian(order), BinaryPrimitives.ReadInt64LittleEndian(order[4..]));
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    public void Read(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            int received = _socket.Receive(into);
            into = received != 0 ? into[received..] : throw new EndOfStreamException("the peer closed the connection");
        }
    }

    public void Interrupt() => _socket.Shutdown(SocketShutdown.Both);

    public void Dispose() => _socket.Dispose();
}
