using MigrationD.Daemon.Security.Certificates;
using MigrationD.Daemon.Tests.Hosting;

namespace MigrationD.Daemon.Tests.Security.Certificates;

/// <summary>What is wrong with a TLS directory is said all at once, before anybody is dialled.</summary>
public sealed class NodeIdentityTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Own => _folder.PathOf("own");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_directory_as_certs_issue_makes_it_is_right()
    {
        TestCertificates.Issue(Own);
        var problems = new List<string>();
        NodeIdentity? identity = NodeIdentity.Load(Own, problems);
        Assert.Empty(problems);
        Assert.InRange(identity!.ExpiresAt, DateTime.Now, DateTime.Now.AddDays(1));
    }

    [Theory]
    [InlineData("ca-cert.pem")]
    [InlineData("server-cert.pem")]
    [InlineData("server-key.pem")]
    [InlineData("client-cert.pem")]
    [InlineData("client-key.pem")]
    public void A_file_that_is_missing_or_nonsense_is_named(string file)
    {
        TestCertificates.Issue(Own);
        File.Delete(Path.Combine(Own, file));
        Assert.Contains(Path.Combine(Own, file), Assert.Single(Problems()), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Own, file), "-----BEGIN NONSENSE-----\n");
        File.SetUnixFileMode(Path.Combine(Own, file), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Assert.Contains(Path.Combine(Own, file), Assert.Single(Problems()), StringComparison.Ordinal);
    }

    [Fact]
    public void Everything_that_is_wrong_is_said()
    {
        TestCertificates.Issue(Own);
        foreach (string file in Directory.GetFiles(Own))
        {
            File.Delete(file);
        }

        Assert.Equal(5, Problems().Count);
    }

    [Fact]
    public void The_key_of_another_certificate_is_refused()
    {
        TestCertificates.Issue(Own);
        File.Copy(Path.Combine(Own, "client-key.pem"), Path.Combine(Own, "server-key.pem"), overwrite: true);
        Assert.Contains("is not the key of", Assert.Single(Problems()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_certificate_for_clients_is_none_for_servers()
    {
        TestCertificates.Issue(Own);
        File.Copy(Path.Combine(Own, "client-key.pem"), Path.Combine(Own, "server-key.pem"), overwrite: true);
        File.Copy(Path.Combine(Own, "client-cert.pem"), Path.Combine(Own, "server-cert.pem"), overwrite: true);
        Assert.Contains("no certificate for a server", Assert.Single(Problems()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_certificate_of_another_authority_is_refused()
    {
        TestCertificates.Issue(Own);
        using CertificateAuthority other = CertificateAuthority.Create(_folder.PathOf("ca"), "other", TimeSpan.FromDays(1));
        File.Copy(Path.Combine(_folder.PathOf("ca"), "ca-cert.pem"), Path.Combine(Own, "ca-cert.pem"), overwrite: true);
        Assert.All(Problems(), problem => Assert.Contains("was not issued by an authority in ca-cert.pem", problem, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    [InlineData(UnixFileMode.GroupWrite)]
    public void A_key_that_is_open_to_others_is_refused(UnixFileMode open)
    {
        TestCertificates.Issue(Own);
        string key = Path.Combine(Own, "client-key.pem");
        File.SetUnixFileMode(key, File.GetUnixFileMode(key) | open);
        Assert.Contains($"{key} is open to others", Assert.Single(Problems()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_group_may_read_a_key()
    {
        // As where root installs it for the daemon's group.
        TestCertificates.Issue(Own);
        string key = Path.Combine(Own, "server-key.pem");
        File.SetUnixFileMode(key, File.GetUnixFileMode(key) | UnixFileMode.GroupRead);
        Assert.Empty(Problems());
    }

    private List<string> Problems()
    {
        var problems = new List<string>();
        Assert.Equal(NodeIdentity.Load(Own, problems) is null, problems.Count > 0);
        return problems;
    }
}
