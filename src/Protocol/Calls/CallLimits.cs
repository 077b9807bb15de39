using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// The limits of calls, and how Kestrel is set up for them: HTTP/2 and nothing else, with every limit at what control calls need.
/// </summary>
public static class CallLimits
{
    /// <summary>The largest message of a call, in bytes: 4 MiB, as in every implementation of gRPC unless told otherwise.</summary>
    public const int MaxMessageBytes = 4 * 1024 * 1024;

    // A daemon has a handful of peers and operators. The limits leave room for a hundredfold of that and keep what a hostile peer can
    // make the server hold to a few hundred MiB: connections x (connection window + headers).
    private const int MaxConnections = 256;
    private const int StreamsPerConnection = 128;

    // gRPC's peers promise to take 8 KiB of metadata; twice that, as other servers do.
    private const int MaxHeaderBytes = 16 * 1024;
    private const int MaxHeaderCount = 64;

    // The windows bound what one stream and one connection may have in flight, whatever the message limit is.
    private const int StreamWindowBytes = 256 * 1024;
    private const int ConnectionWindowBytes = 1024 * 1024;

    /// <summary>
    /// Sets the server's limits, and HTTP/2 for every endpoint that is added after this call. HTTP/2 comes without TLS unless an
    /// endpoint adds that (prior knowledge, as gRPC's "insecure" channels expect).
    /// </summary>
    public static void ConfigureForCalls(this KestrelServerOptions server)
    {
        server.AddServerHeader = false;
        server.ConfigureEndpointDefaults(static listen => listen.Protocols = HttpProtocols.Http2);

        KestrelServerLimits limits = server.Limits;
        limits.MaxConcurrentConnections = MaxConnections;
        limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
        limits.MaxRequestHeaderCount = MaxHeaderCount;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);

        // A connection without a call ends soon, from its first byte on: clients dial anew without being asked, and strangers are gone.
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(30);

        Http2Limits http2 = limits.Http2;
        http2.MaxStreamsPerConnection = StreamsPerConnection;
        http2.MaxRequestHeaderFieldSize = MaxHeaderBytes;
        http2.InitialStreamWindowSize = StreamWindowBytes;
        http2.InitialConnectionWindowSize = ConnectionWindowBytes;

        // Pings find peers that vanished without a word while they watch a migration, whose stream may be silent for long.
        http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(20);
    }
}
