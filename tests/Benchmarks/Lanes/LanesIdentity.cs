using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using MigrationD.Protocol.Calls;

namespace MigrationD.Benchmarks.Lanes;

/// <summary>One self-signed certificate that both ends show and trust; made for a run, and handed to the child with its key.</summary>
internal static class LanesIdentity
{
    /// <summary>Makes one, in base64 of PKCS #12.</summary>
    public static string Create()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=migrationd benchmark", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
        return Convert.ToBase64String(certificate.Export(X509ContentType.Pkcs12));
    }

    /// <summary>TLS for either end.</summary>
    public static PeerTls Load(string identity)
    {
        X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(Convert.FromBase64String(identity), null);
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.Add(certificate);
        return new PeerTls
        {
            Certificate = SslStreamCertificateContext.Create(certificate, null, offline: true),
            PeerPolicy = policy,
            RefusePeer = _ => null,
        };
    }
}
