using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace MigrationD.Protocol.Grpc.Lanes;

/// <summary>
/// TLS on lanes: version 1.3, ALPN <c>h2</c>, and a certificate on either side. The same record serves who listens and who dials.
/// </summary>
public sealed record LaneTls
{
    /// <summary>
    /// What this side shows: a certificate with its private key, and what lies between it and the root. Make it once, with
    /// <c>offline: true</c>, so that no handshake waits for a download.
    /// </summary>
    public required SslStreamCertificateContext Certificate { get; init; }

    /// <summary>
    /// How the peer's certificate has to chain up, e.g. to a root of one's own (<see cref="X509ChainPolicy.CustomTrustStore"/>). A chain
    /// with any error is refused. Without an application policy in it, the certificate has to be one for clients or for servers, as the
    /// peer is. Only copies of it are used. Switch its downloads off unless a handshake may wait for them.
    /// </summary>
    public required X509ChainPolicy PeerPolicy { get; init; }

    /// <summary>
    /// Looks at the certificate of a peer whose chain is in order, and gives null, or says why it is refused. Whose name the certificate
    /// has is for this to check, on both sides: nothing else does. Runs in the handshake, on the lane's thread. The certificate is only
    /// valid during the call.
    /// </summary>
    public required Func<X509Certificate2, string?> RefusePeer { get; init; }
}
