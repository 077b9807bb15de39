using System.Net.Sockets;
using System.Runtime.InteropServices;
using MigrationD.Protocol.Lanes.Interop;

namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>
/// A blocking TCP socket. Only synchronous calls are made on it: the first asynchronous one would make .NET switch the descriptor to
/// non-blocking and serve it from the thread pool ever after.
/// </summary>
internal sealed class SocketLaneTransport : LaneTransport
{
    private const int SocketLevel = 1;
    private const int ReceiveTimeoutOption = 20;
    private const int TcpLevel = 6;
    private const int UserTimeoutOption = 18;

    private readonly Socket _socket;

    /// <summary>Takes over a connected socket.</summary>
    public SocketLaneTransport(Socket socket, LaneOptions options)
    {
        _socket = socket;
        RemoteEndPoint = socket.RemoteEndPoint ?? throw new ArgumentException("the socket is not connected", nameof(socket));
        if (socket.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
        {
            Configure(options);
        }
    }

    public override EndPoint RemoteEndPoint { get; }

    /// <summary>Sets buffer sizes; has to happen before the connection is made, because TCP agrees on its window scale then.</summary>
    public static void SizeBuffers(Socket socket, LaneOptions options)
    {
        if (options.SendBufferBytes is { } send)
        {
            socket.SendBufferSize = send;
        }

        if (options.ReceiveBufferBytes is { } receive)
        {
            socket.ReceiveBufferSize = receive;
        }
    }

    public override int Receive(Span<byte> into)
    {
        try
        {
            return _socket.Receive(into);
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.WouldBlock or SocketError.TimedOut)
        {
            throw new LaneException(LaneFailure.Timeout, $"the peer was silent for too long: {error.Message}", error);
        }
        catch (SocketException error)
        {
            throw new LaneException(LaneFailure.Reset, $"the connection broke while receiving: {error.Message}", error);
        }
        catch (ObjectDisposedException error)
        {
            throw ClosedHere(error);
        }
    }

    public override void Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third)
    {
        while (first.Length + second.Length + third.Length != 0)
        {
            int sent = SendSome(first, second, third, wait: true);
            if (sent < 0)
            {
                Wait(Readiness.Writable, -1);
                continue;
            }

            int firstSent = Math.Min(first.Length, sent);
            int secondSent = Math.Min(second.Length, sent - firstSent);
            int thirdSent = sent - firstSent - secondSent;
            first = first[firstSent..];
            second = second[secondSent..];
            third = new NativeBuffer(third.Address + thirdSent, third.Length - thirdSent);
        }
    }

    public override int TrySend(ReadOnlySpan<byte> bytes) => Math.Max(0, SendSome(bytes, default, default, wait: false));

    public override Readiness Wait(Readiness wanted, int timeoutMilliseconds)
    {
        long deadline = timeoutMilliseconds < 0 ? long.MaxValue : Environment.TickCount64 + timeoutMilliseconds;
        while (true)
        {
            int ready;
            try
            {
                ready = Poll.Wait(_socket.SafeHandle, wanted, Left(deadline));
            }
            catch (ObjectDisposedException error)
            {
                throw ClosedHere(error);
            }

            if (ready >= 0)
            {
                return (Readiness)ready;
            }

            if (-ready != SendMessage.Interrupted)
            {
                throw new LaneException(LaneFailure.Reset, $"poll on the connection failed: {Marshal.GetPInvokeErrorMessage(-ready)}");
            }
        }
    }

    public override void ShutdownSend() => Shutdown(SocketShutdown.Send);

    public override void Interrupt() => Shutdown(SocketShutdown.Both);

    public override void Dispose() => _socket.Dispose();

    /// <summary>Sends what one call takes. Returns the bytes sent, or -1 when the system would have to wait.</summary>
    private int SendSome(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third, bool wait)
    {
        while (true)
        {
            nint sent;
            try
            {
                sent = SendMessage.Send(_socket.SafeHandle, first, second, third, wait);
            }
            catch (ObjectDisposedException error)
            {
                throw ClosedHere(error);
            }

            if (sent >= 0)
            {
                return (int)sent;
            }

            int number = (int)-sent;
            if (number == SendMessage.TryAgain)
            {
                return -1;
            }

            if (number != SendMessage.Interrupted)
            {
                LaneFailure kind = number switch
                {
                    SendMessage.TimedOut => LaneFailure.Timeout,
                    SendMessage.BrokenPipe => LaneFailure.PeerClosed,
                    _ => LaneFailure.Reset,
                };
                throw new LaneException(
                    kind, $"the connection broke while sending: {Marshal.GetPInvokeErrorMessage(number)} (errno {number})");
            }
        }
    }

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            _socket.Shutdown(how);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Not connected any more, or closed: what this call is for has happened already.
        }
    }

    private void Configure(LaneOptions options)
    {
        _socket.NoDelay = true;
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, Seconds(options.KeepAliveTime));
        _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, Seconds(options.KeepAliveInterval));
        _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, options.KeepAliveProbes);
        int unacknowledged = (int)options.UnacknowledgedTimeout.TotalMilliseconds;
        _socket.SetRawSocketOption(TcpLevel, UserTimeoutOption, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in unacknowledged)));
        if (options.IdleTimeout is { } idle)
        {
            // SO_RCVTIMEO (socket(7)) costs nothing while bytes come, unlike a poll before each receive. It takes a struct timeval.
            long microseconds = (long)idle.TotalMicroseconds;
            ReadOnlySpan<long> timeval = [microseconds / 1_000_000, microseconds % 1_000_000];
            _socket.SetRawSocketOption(SocketLevel, ReceiveTimeoutOption, MemoryMarshal.AsBytes(timeval));
        }
    }

    private static int Seconds(TimeSpan time) => Math.Max(1, (int)Math.Ceiling(time.TotalSeconds));
}
