using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>
/// The door where Prometheus and browsers read. Nothing can be changed here, and no call is answered. HTTP/1.1 is spoken, and with TLS
/// HTTP/2 as well: without TLS nobody says beforehand which of the two he speaks.
/// </summary>
internal static class ReaderDoor
{
    // A reader asks for a path and has nothing else to say. Browsers send their cookies along, which are those of every port of a host.
    private const int MaxRequestLineBytes = 4 * 1024;
    private const int MaxHeaderBytes = 16 * 1024;
    private const int MaxHeaderCount = 64;

    // A page asks for a handful of things at once.
    private const int StreamsPerConnection = 32;

    private static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(10);

    // The timeout counts from a connection's first byte on, and between requests.
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(30);

    // What the system holds of answers that nobody takes, for each connection; left alone it would be up to 4 MiB.
    private const int SendBufferBytes = 64 * 1024;

    // Nobody waits for a reader who takes answers more slowly than this, on average.
    private static readonly MinDataRate SlowestReader = new(bytesPerSecond: 16 * 1024, gracePeriod: TimeSpan.FromSeconds(5));

    /// <summary>Opens the door for so many connections at a time.</summary>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public static Task<Door> OpenAsync(
        IPEndPoint web, int connections, PeerSecurity security, Action<IEndpointRouteBuilder> map, RequestMeter requests,
        ILoggerFactory logging)
    {
        return Door.ServePagesAsync(logging, Listen, Bind, map, requests);

        void Listen(KestrelServerOptions kestrel)
        {
            kestrel.AddServerHeader = false;
            Bound(kestrel.Limits, connections);
            kestrel.Listen(web, listen =>
            {
                listen.Protocols = security.IsOn ? HttpProtocols.Http1AndHttp2 : HttpProtocols.Http1;
                listen.Secure(security, DaemonOptionKey.Web, logging, SslApplicationProtocol.Http2, SslApplicationProtocol.Http11);
            });
        }
    }

    // Connections have the listening socket's buffers (socket(7)).
    private static Socket Bind(EndPoint web)
    {
        Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(web);
        socket.SendBufferSize = SendBufferBytes;
        return socket;
    }

    private static void Bound(KestrelServerLimits limits, int connections)
    {
        limits.MaxConcurrentConnections = connections;
        limits.MaxRequestLineSize = MaxRequestLineBytes;
        limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
        limits.MaxRequestHeaderCount = MaxHeaderCount;
        limits.MaxRequestBodySize = 0;
        limits.RequestHeadersTimeout = HeadersTimeout;
        limits.KeepAliveTimeout = IdleTimeout;
        limits.MinResponseDataRate = SlowestReader;
        limits.Http2.MaxStreamsPerConnection = StreamsPerConnection;
        limits.Http2.MaxRequestHeaderFieldSize = MaxHeaderBytes;
    }
}
