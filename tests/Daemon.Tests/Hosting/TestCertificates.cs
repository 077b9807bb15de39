using MigrationD.Daemon.Security.Certificates;

namespace MigrationD.Daemon.Tests.Hosting;

/// <summary>TLS directories of one authority for the whole run of the tests.</summary>
internal static class TestCertificates
{
    private static readonly Lazy<string> Root = new(() =>
    {
        string root = Directory.CreateTempSubdirectory("migrationd-tests-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(root, recursive: true);
        using var authority = CertificateAuthority.Create(Path.Combine(root, "ca"), "tests", TimeSpan.FromDays(1));
        for (int i = 1; i <= 3; i++)
        {
            authority.Issue(Path.Combine(root, $"node{i}"), $"node{i}", ["127.0.0.1"], TimeSpan.FromDays(1), replace: false);
        }

        return root;
    });

    /// <summary>The directory of node 1, 2 or 3. Not to be changed; see <see cref="Issue"/>.</summary>
    public static string Folder(int node) => Path.Combine(Root.Value, $"node{node}");

    /// <summary>A directory of the test's own.</summary>
    public static void Issue(string folder)
    {
        using CertificateAuthority authority = CertificateAuthority.Open(Path.Combine(Root.Value, "ca"));
        authority.Issue(folder, "own", [], TimeSpan.FromDays(1), replace: false);
    }
}
