using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace MigrationD.EndToEnd.Tests.Security;

/// <summary>A certificate authority of the test's own, made and used by migrationd's commands.</summary>
internal sealed class Authority : IDisposable
{
    private const string ClientUse = "1.3.6.1.5.5.7.3.2";

    private readonly Scratch _scratch = new();

    /// <summary>A new one.</summary>
    public Authority() => Run("certs", "init", "--dir", Folder);

    /// <summary>Where its certificate and its key are.</summary>
    public string Folder => _scratch.PathOf("ca");

    /// <summary>The TLS directory of a node that is dialled under these hosts.</summary>
    public string Issue(string node, params string[] hosts)
    {
        string folder = _scratch.PathOf(node);
        Run([
            "certs", "issue", node, "--dir", Folder, "--out", folder, "--force", .. hosts.SelectMany(host => new[] { "--host", host })]);
        return folder;
    }

    /// <summary>A client's certificate as this authority would give it, valid until then.</summary>
    public X509Certificate2 IssueClient(string name, DateTimeOffset until)
    {
        using X509Certificate2 root = X509Certificate2.CreateFromPemFile(Path.Combine(Folder, "ca-cert.pem"), Path.Combine(Folder, "ca-key.pem"));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ClientUse)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 bare = request.Create(root, root.NotBefore, until, RandomNumberGenerator.GetBytes(8));
        using X509Certificate2 whole = bare.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }

    public void Dispose() => _scratch.Dispose();

    private static void Run(params string[] command)
    {
        using Process process = Process.Start(ProgramUnderTest.Start(command))!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"migrationd {string.Join(' ', command)}: {error}");
    }
}
