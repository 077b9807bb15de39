using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// TLS between daemons, on control connections and on lanes: version 1.3, ALPN <c>h2</c>, no resumption, and a certificate on either side.
/// The same record serves the side that listens and the side that dials.
/// </summary>
public sealed record PeerTls
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
    /// has is for this to check, on both sides: nothing else does. Runs in the handshake, on its thread. The certificate is only valid
    /// during the call.
    /// </summary>
    public required Func<X509Certificate2, string?> RefusePeer { get; init; }

    /// <summary>The handshake of the side that was dialled.</summary>
    /// <param name="refused">Told why a peer is not welcome, before the handshake fails for it.</param>
    public SslServerAuthenticationOptions ServerOptions(Action<string> refused) => new()
    {
        ServerCertificateContext = Certificate,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls13,
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        CertificateChainPolicy = PeerPolicy.Clone(),
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) => IsWelcome(certificate, chain, errors, refused),
        AllowRenegotiation = false,

        // A resumed session would not show its certificate again.
        AllowTlsResume = false,
    };

    /// <summary>The handshake of the side that has dialled <paramref name="host"/>.</summary>
    /// <param name="host">A name or an address that the peer is asked for; it is not judged by it.</param>
    /// <param name="refused">Told why a peer is not welcome, before the handshake fails for it.</param>
    public SslClientAuthenticationOptions ClientOptions(string host, Action<string> refused) => new()
    {
        TargetHost = host,
        ClientCertificateContext = Certificate,
        EnabledSslProtocols = SslProtocols.Tls13,
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        CertificateChainPolicy = PeerPolicy.Clone(),
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) => IsWelcome(certificate, chain, errors, refused),
        AllowRenegotiation = false,
        AllowTlsResume = false,
    };

    // A name that differs from what was dialled is no reason here: hosts are dialled by address too, and the delegate judges names.
    private bool IsWelcome(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, Action<string> refused)
    {
        IEnumerable<string> faults = chain?.ChainStatus.Select(status => $"{status.Status}: {status.StatusInformation.Trim()}") ?? [];
        string? why =
            certificate is not X509Certificate2 shown || errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable)
                ? "it shows no certificate"
            : errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors)
                ? $"its certificate ({shown.Subject}) is not trusted: {string.Join("; ", faults)}"
            : Judge(shown) is { } judged ? $"its certificate ({shown.Subject}) is refused: {judged}"
            : null;
        if (why is not null)
        {
            refused(why);
        }

        return why is null;
    }

    private string? Judge(X509Certificate2 certificate)
    {
        try
        {
            return RefusePeer(certificate);
        }
        catch (Exception error)
        {
            return $"looking at it failed: {error.Message}";
        }
    }
}
