using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace MigrationD.Daemon.Security.Certificates;

/// <summary>What a node shows to others, and whom it trusts: its TLS directory, loaded and checked.</summary>
internal sealed class NodeIdentity
{
    private const UnixFileMode ForOthers = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private NodeIdentity(SslStreamCertificateContext server, SslStreamCertificateContext client, X509Certificate2Collection authorities)
    {
        Server = server;
        Client = client;
        Policy = PolicyOf(authorities);
    }

    /// <summary>What this node shows to those who dial it.</summary>
    public SslStreamCertificateContext Server { get; }

    /// <summary>What this node shows to those that it dials.</summary>
    public SslStreamCertificateContext Client { get; }

    /// <summary>How a peer's certificate has to chain up.</summary>
    public X509ChainPolicy Policy { get; }

    /// <summary>The soonest end of this node's certificates.</summary>
    public DateTime ExpiresAt => new[] { Server, Client }.Min(context => context.TargetCertificate.NotAfter);

    /// <summary>Loads a TLS directory; null, and everything that is wrong with it, when something is.</summary>
    public static NodeIdentity? Load(string folder, List<string> problems)
    {
        if (!Directory.Exists(folder))
        {
            problems.Add($"{folder} is no directory; make its files with: migrationd certs issue NAME --out {folder}");
            return null;
        }

        var files = new TlsFiles(folder);
        X509Certificate2Collection? authorities = Read(files.Authority, problems);
        SslStreamCertificateContext? server = Load(files.ServerCertificate, files.ServerKey, KeyUse.Server, authorities, problems);
        SslStreamCertificateContext? client = Load(files.ClientCertificate, files.ClientKey, KeyUse.Client, authorities, problems);
        return authorities is not null && server is not null && client is not null ? new NodeIdentity(server, client, authorities) : null;
    }

    private static X509ChainPolicy PolicyOf(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            // A peer that is to be kept out is taken off the list of names, and nobody has to be asked.
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    private static SslStreamCertificateContext? Load(
        string certificateFile, string keyFile, string use, X509Certificate2Collection? authorities, List<string> problems)
    {
        X509Certificate2Collection? chain = Read(certificateFile, problems);
        string? key = ReadKey(keyFile, problems);
        if (chain is null || key is null)
        {
            return null;
        }

        X509Certificate2 own = chain[0];
        X509Certificate2 whole;
        try
        {
            // The certificate is loaded anew: the key that PEM gives has no form in which every implementation of TLS takes it.
            using var both = X509Certificate2.CreateFromPem(own.ExportCertificatePem(), key);
            whole = X509CertificateLoader.LoadPkcs12(both.Export(X509ContentType.Pkcs12), null);
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException)
        {
            problems.Add($"{keyFile} is not the key of {certificateFile}: {error.Message}");
            return null;
        }

        int before = problems.Count;
        if (own.NotAfter < DateTime.Now)
        {
            problems.Add($"{certificateFile} has expired on {own.NotAfter:u}; issue a new one");
        }

        if (own.NotBefore > DateTime.Now)
        {
            problems.Add($"{certificateFile} is valid from {own.NotBefore:u} on only; is this host's clock right?");
        }

        if (own.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is { } uses
            && !uses.EnhancedKeyUsages.Cast<Oid>().Any(one => one.Value == use))
        {
            problems.Add($"{certificateFile} is no certificate for a {(use == KeyUse.Server ? "server" : "client")} (extended key usage)");
        }

        if (problems.Count == before && authorities is not null)
        {
            CheckChain(certificateFile, chain, authorities, problems);
        }

        return problems.Count == before ? SslStreamCertificateContext.Create(whole, chain, offline: true) : null;
    }

    /// <summary>Checks that peers would not refuse this node: it says so when it starts, not when a guest has to move.</summary>
    private static void CheckChain(
        string certificateFile, X509Certificate2Collection shown, X509Certificate2Collection authorities, List<string> problems)
    {
        using var chain = new X509Chain { ChainPolicy = PolicyOf(authorities) };
        chain.ChainPolicy.ExtraStore.AddRange(shown);
        if (!chain.Build(shown[0]))
        {
            string why = string.Join("; ", chain.ChainStatus.Select(status => status.StatusInformation.Trim()));
            problems.Add($"{certificateFile} was not issued by an authority in ca-cert.pem beside it: {why}");
        }
    }

    private static X509Certificate2Collection? Read(string file, List<string> problems)
    {
        try
        {
            var certificates = new X509Certificate2Collection();
            certificates.ImportFromPemFile(file);
            if (certificates.Count > 0)
            {
                return certificates;
            }

            problems.Add($"{file} holds no certificate in PEM");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or CryptographicException)
        {
            problems.Add($"{file} cannot be read: {error.Message}");
        }

        return null;
    }

    private static string? ReadKey(string file, List<string> problems)
    {
        try
        {
            UnixFileMode mode = File.GetUnixFileMode(file);
            if ((mode & (ForOthers | UnixFileMode.GroupWrite)) != 0)
            {
                problems.Add($"{file} is open to others (mode {Convert.ToString((int)mode, 8)}): "
                    + "whoever reads it is this node; chmod 0640 or 0600");
                return null;
            }

            return File.ReadAllText(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{file} cannot be read: {error.Message}");
            return null;
        }
    }
}

/// <summary>The five files of a node's TLS directory, under the names that other VMMs' operators know.</summary>
internal sealed class TlsFiles(string folder)
{
    /// <summary>Whom this node trusts: certificates of authorities, one behind the other.</summary>
    public string Authority { get; } = Path.Combine(folder, CertificateAuthority.CertificateFile);

    /// <summary>What this node shows to those who dial it, with what lies between it and the authority.</summary>
    public string ServerCertificate { get; } = Path.Combine(folder, "server-cert.pem");

    public string ServerKey { get; } = Path.Combine(folder, "server-key.pem");

    /// <summary>What this node shows to those that it dials.</summary>
    public string ClientCertificate { get; } = Path.Combine(folder, "client-cert.pem");

    public string ClientKey { get; } = Path.Combine(folder, "client-key.pem");
}
