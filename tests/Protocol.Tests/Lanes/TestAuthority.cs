using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using MigrationD.Protocol.Calls;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>A certificate authority for one test, with whatever certificates it takes.</summary>
internal sealed class TestAuthority : IDisposable
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1";
    private const string ClientUse = "1.3.6.1.5.5.7.3.2";

    private readonly List<X509Certificate2> _issued = [];
    private readonly X509Certificate2 _root;

    public TestAuthority(string name = "a test's authority")
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _root = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-2), DateTimeOffset.UtcNow.AddDays(2));
    }

    public string RootPem => _root.ExportCertificatePem();

    /// <summary>A certificate for both ends of a lane.</summary>
    public X509Certificate2 Issue(string name, TimeSpan? ago = null)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerUse), new Oid(ClientUse)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset end = DateTimeOffset.UtcNow.AddDays(1) - (ago ?? TimeSpan.Zero);
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        using X509Certificate2 bare = request.Create(_root, end.AddDays(-1.5), end, serial);
        X509Certificate2 certificate = bare.CopyWithPrivateKey(key);
        _issued.Add(certificate);
        return certificate;
    }

    /// <summary>TLS with a certificate of this authority, for peers with one of it.</summary>
    public PeerTls Tls(string name = "localhost", Func<X509Certificate2, string?>? refuse = null) => Tls(Issue(name), refuse);

    public PeerTls Tls(X509Certificate2 certificate, Func<X509Certificate2, string?>? refuse = null)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.Add(_root);
        return new PeerTls
        {
            Certificate = SslStreamCertificateContext.Create(certificate, null, offline: true),
            PeerPolicy = policy,
            RefusePeer = refuse ?? (_ => null),
        };
    }

    public void Dispose()
    {
        _issued.ForEach(certificate => certificate.Dispose());
        _root.Dispose();
    }
}
