using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http;

namespace MigrationD.Protocol.Grpc;

/// <summary>What a server's handler knows about the call it serves, apart from the request.</summary>
public sealed class GrpcCallContext
{
    /// <summary>The circumstances of one call. The endpoints make it; a test of a handler can, too.</summary>
    /// <param name="cancellation">See <see cref="CancellationToken"/>.</param>
    /// <param name="deadline">See <see cref="Deadline"/>.</param>
    /// <param name="peer">See <see cref="Peer"/>.</param>
    /// <param name="requestHeaders">See <see cref="RequestHeaders"/>; null for none.</param>
    /// <param name="peerCertificate">See <see cref="PeerCertificate"/>.</param>
    public GrpcCallContext(
        CancellationToken cancellation,
        DateTimeOffset? deadline = null,
        IPEndPoint? peer = null,
        IHeaderDictionary? requestHeaders = null,
        X509Certificate2? peerCertificate = null)
    {
        PeerCertificate = peerCertificate;
        CancellationToken = cancellation;
        Deadline = deadline;
        Peer = peer;
        RequestHeaders = requestHeaders ?? new HeaderDictionary();
    }

    /// <summary>
    /// Fires when nobody waits for the answer any more: the client cancelled or is gone, or the deadline passed. For a server-streaming
    /// call also when the server shuts down, because such a call would hold the shutdown up for as long as it has something to say.
    /// </summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>When the client stops waiting, by this host's clock; null when it set no deadline.</summary>
    public DateTimeOffset? Deadline { get; }

    /// <summary>The client's end of the connection; null on a unix socket, whose clients have no address.</summary>
    public IPEndPoint? Peer { get; }

    /// <summary>What the client has shown when it connected; null without TLS.</summary>
    public X509Certificate2? PeerCertificate { get; }

    /// <summary>The call's metadata as it came in HTTP/2 headers.</summary>
    public IHeaderDictionary RequestHeaders { get; }
}
