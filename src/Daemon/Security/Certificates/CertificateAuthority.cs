using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using MigrationD.Daemon.Files;

namespace MigrationD.Daemon.Security.Certificates;

/// <summary>A certificate authority in a folder, for hosts that have no other: its certificate, and its key beside it.</summary>
internal sealed class CertificateAuthority(X509Certificate2 root) : IDisposable
{
    public const string CertificateFile = "ca-cert.pem";
    public const string KeyFile = "ca-key.pem";

    private const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Public = Secret | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    // Certificates begin earlier, because clocks of hosts differ.
    private static readonly TimeSpan Slack = TimeSpan.FromMinutes(5);

    public DateTime ExpiresAt => root.NotAfter;

    /// <summary>Makes an authority in a folder.</summary>
    /// <exception cref="IOException">There is one already, or the folder cannot be written.</exception>
    public static CertificateAuthority Create(string folder, string name, TimeSpan validity)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(NameOf(name), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        DateTimeOffset now = DateTimeOffset.UtcNow;
        X509Certificate2 made = request.CreateSelfSigned(now - Slack, now + validity);
        Directory.CreateDirectory(folder);
        Write(Path.Combine(folder, KeyFile), key.ExportPkcs8PrivateKeyPem(), Secret, replace: false);
        Write(Path.Combine(folder, CertificateFile), made.ExportCertificatePem(), Public, replace: false);
        DurableFile.FlushFolder(folder);
        return new CertificateAuthority(made);
    }

    /// <summary>Whether a folder has the certificate of an authority; it is written last.</summary>
    public static bool IsIn(string folder) => File.Exists(Path.Combine(folder, CertificateFile));

    /// <summary>Opens the authority in a folder.</summary>
    /// <exception cref="IOException">There is none.</exception>
    public static CertificateAuthority Open(string folder)
    {
        string certificate = Path.Combine(folder, CertificateFile);
        string key = Path.Combine(folder, KeyFile);
        try
        {
            return new CertificateAuthority(X509Certificate2.CreateFromPemFile(certificate, key));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new IOException(
                $"open the authority of {certificate} and {KeyFile}: {error.Message}; make one with: migrationd certs init --dir {folder}",
                error);
        }
    }

    /// <summary>
    /// Writes the TLS directory of one node: a certificate that it shows to those who dial it, one for those that it dials, their keys, and
    /// the authority that it trusts. Hosts are further names and addresses under which it is dialled; no certificate outlives the
    /// authority's own.
    /// </summary>
    /// <exception cref="IOException">A file is there already, or cannot be written.</exception>
    public void Issue(string folder, string node, IReadOnlyCollection<string> hosts, TimeSpan validity, bool replace)
    {
        Directory.CreateDirectory(folder);
        var files = new TlsFiles(folder);
        string[] all = [files.Authority, files.ServerCertificate, files.ServerKey, files.ClientCertificate, files.ClientKey];
        if (!replace && all.FirstOrDefault(File.Exists) is { } existing)
        {
            throw new IOException($"write {existing}: it is there already; --force replaces it");
        }

        Write(files.Authority, root.ExportCertificatePem(), Public, replace);
        Issue(files.ServerCertificate, files.ServerKey, node, hosts, KeyUse.Server, validity, replace);
        Issue(files.ClientCertificate, files.ClientKey, node, [], KeyUse.Client, validity, replace);
        DurableFile.FlushFolder(folder);
    }

    public void Dispose() => root.Dispose();

    private void Issue(
        string certificateFile, string keyFile, string node, IReadOnlyCollection<string> hosts, string use, TimeSpan validity, bool replace)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(NameOf(node), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(root, true, false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(node);
        foreach (string host in hosts)
        {
            if (IPAddress.TryParse(host, out IPAddress? address))
            {
                names.AddIpAddress(address);
            }
            else
            {
                names.AddDnsName(host);
            }
        }

        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = DateTimeOffset.UtcNow;
        DateTimeOffset[] begins = [now - Slack, root.NotBefore];
        DateTimeOffset[] ends = [now + validity, root.NotAfter];
        using X509Certificate2 certificate = request.Create(root, begins.Max(), ends.Min(), RandomNumberGenerator.GetBytes(16));
        Write(keyFile, key.ExportPkcs8PrivateKeyPem(), Secret, replace);
        Write(certificateFile, certificate.ExportCertificatePem(), Public, replace);
    }

    private static X500DistinguishedName NameOf(string name)
    {
        var builder = new X500DistinguishedNameBuilder();
        builder.AddCommonName(name);
        return builder.Build();
    }

    // A daemon that reloads meanwhile never reads half of the file.
    private static void Write(string file, string text, UnixFileMode mode, bool replace)
    {
        try
        {
            DurableFile.Write(file, Encoding.ASCII.GetBytes(text + '\n'), mode, replace);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"write {file}: {error.Message}", error);
        }
    }
}

/// <summary>What a certificate's key is for: object identifiers of the extended key usage (RFC 5280, 4.2.1.12).</summary>
internal static class KeyUse
{
    /// <summary>The purpose of the side that is dialled.</summary>
    public const string Server = "1.3.6.1.5.5.7.3.1";

    /// <summary>The purpose of the side that dials.</summary>
    public const string Client = "1.3.6.1.5.5.7.3.2";
}
