namespace MigrationD.Daemon.Security.Certificates;

/// <summary>The five files of a node's TLS directory, under the names that other VMMs' operators know.</summary>
internal sealed class TlsFiles(string folder)
{
    /// <summary>Whom this node trusts: certificates of authorities, one behind the other.</summary>
    public string Authority { get; } = Path.Combine(folder, CertificateAuthority.CertificateFile);

    /// <summary>What this node shows to who dials it, with what lies between it and the authority.</summary>
    public string ServerCertificate { get; } = Path.Combine(folder, "server-cert.pem");

    public string ServerKey { get; } = Path.Combine(folder, "server-key.pem");

    /// <summary>What this node shows to whom it dials.</summary>
    public string ClientCertificate { get; } = Path.Combine(folder, "client-cert.pem");

    public string ClientKey { get; } = Path.Combine(folder, "client-key.pem");
}
