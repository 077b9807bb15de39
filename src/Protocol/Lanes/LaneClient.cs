using System.Net.Sockets;
using MigrationD.Protocol.Lanes.Http2;
using MigrationD.Protocol.Lanes.Transport;

namespace MigrationD.Protocol.Lanes;

/// <summary>Opens lanes.</summary>
public static class LaneClient
{
    private const int MaxRequestBytes = FrameHeader.DefaultMaxLength / 2;

    /// <summary>
    /// Dials a listener and asks for a call; returns when it has been accepted. It blocks: call it on a thread of your own.
    /// </summary>
    /// <param name="endPoint">The listener; an <see cref="IPEndPoint"/> or a <see cref="DnsEndPoint"/>.</param>
    /// <param name="path">The method, e.g. <c>/migrationd.v1.PageLanes/Push</c>.</param>
    /// <param name="metadata">Names in lower case, values of printable ASCII; binary values in base64 under a name that ends in
    /// <c>-bin</c>.</param>
    /// <param name="options">Limits and deadlines; <see cref="LaneOptions.HandshakeTimeout"/> bounds this call.</param>
    /// <param name="cancellationToken">Gives the dialling up. It has no effect on the call that was returned.</param>
    /// <exception cref="Refusal">The server refused the call; with its status and message.</exception>
    /// <exception cref="LaneException">Nobody answers there, or the connection failed before the call was accepted.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled first.</exception>
    /// <exception cref="ArgumentException">The path or the metadata cannot be sent.</exception>
    public static LaneCall Open(
        EndPoint endPoint,
        string path,
        IReadOnlyDictionary<string, string> metadata,
        LaneOptions options,
        CancellationToken cancellationToken)
    {
        options.Validate();
        Require(path, metadata);
        cancellationToken.ThrowIfCancellationRequested();
        Socket socket = Dial(endPoint, path, options, cancellationToken);
        LaneTransport transport;
        try
        {
            transport = new SocketLaneTransport(socket, options);
            if (options.Tls is { } tls)
            {
                transport = new TlsLaneTransport(transport, tls, options, HostOf(endPoint));
            }
        }
        catch (Exception error)
        {
            socket.Dispose();
            throw new LaneException(
                LaneFailure.Reset, $"the lane {path}: the connection to {endPoint} cannot be set up: {error.Message}", error);
        }

        try
        {
            return LaneCall.Request(transport, options, path, AuthorityOf(endPoint), metadata, cancellationToken);
        }
        catch (LaneException) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException($"opening the lane {path} at {endPoint} was cancelled", cancellationToken);
        }
    }

    private static Socket Dial(EndPoint endPoint, string path, LaneOptions options, CancellationToken cancellationToken)
    {
        Socket socket = endPoint is IPEndPoint
            ? new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
            : new Socket(SocketType.Stream, ProtocolType.Tcp);

        // Closing the socket is what ends a connect that blocks. The timer runs on the thread pool, which is fine before the first page.
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(options.HandshakeTimeout);
        try
        {
            using (deadline.Token.Register(socket.Dispose))
            {
                SocketLaneTransport.SizeBuffers(socket, options);
                socket.Connect(endPoint);
            }

            // The deadline may have passed in between; then the socket is closed and the transport would say something less clear.
            deadline.Token.ThrowIfCancellationRequested();
            return socket;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            socket.Dispose();
            cancellationToken.ThrowIfCancellationRequested();
            throw deadline.IsCancellationRequested
                ? new LaneException(
                    LaneFailure.Timeout,
                    $"the lane {path}: {endPoint} did not answer within {options.HandshakeTimeout.TotalSeconds} s", error)
                : new LaneException(LaneFailure.PeerClosed, $"the lane {path}: dialling {endPoint} failed: {error.Message}", error);
        }
    }

    private static void Require(string path, IReadOnlyDictionary<string, string> metadata)
    {
        if (!path.StartsWith('/') || !IsPrintable(path))
        {
            throw new ArgumentException($"'{path}' is no path of a method; it has the form /package.Service/Method", nameof(path));
        }

        int length = path.Length;
        foreach ((string name, string value) in metadata)
        {
            length += name.Length + value.Length;
            if (!HeaderList.IsName(name) || !IsPrintable(value))
            {
                throw new ArgumentException(
                    $"the metadata '{name}' has a name that is not lower case or a value that is not printable ASCII", nameof(metadata));
            }
        }

        // The block of headers goes out as one frame; this leaves room for the fields that every request has.
        if (length > MaxRequestBytes)
        {
            throw new ArgumentException(
                $"{length} bytes of path and metadata, and at most {MaxRequestBytes} can be sent", nameof(metadata));
        }
    }

    private static bool IsPrintable(string text) => !text.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private static string HostOf(EndPoint endPoint) => endPoint switch
    {
        DnsEndPoint name => name.Host,
        IPEndPoint address => address.Address.ToString(),
        _ => "",
    };

    private static string AuthorityOf(EndPoint endPoint) => endPoint switch
    {
        DnsEndPoint name => $"{name.Host}:{name.Port}",
        _ => endPoint.ToString() ?? "",
    };
}
