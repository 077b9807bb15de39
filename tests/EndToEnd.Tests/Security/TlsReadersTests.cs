using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Security;

/// <summary>Who may read what a daemon with certificates tells, and that reading is all that he may.</summary>
public sealed class TlsReadersTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly Authority _authority = new();

    public void Dispose() => _authority.Dispose();

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData("1.1", "/metrics", "migrationd_info")]
    [InlineData("2.0", "/metrics", "migrationd_info")]
    [InlineData("1.1", "/", "<title>")]
    [InlineData("2.0", "/api/state", "\"guests\"")]
    public async Task A_reader_is_answered_in_the_HTTP_that_it_speaks(string version, string path, string contains)
    {
        await using DaemonProcess daemon = await StartAsync("--allow-senders", "alpha", "--allow-readers", "prometheus");

        using HttpResponseMessage answer = await ReadAsync(daemon, "prometheus", path, Version.Parse(version));

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(Version.Parse(version), answer.Version);
        Assert.Contains(contains, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Senders_may_read_as_well()
    {
        await using DaemonProcess daemon = await StartAsync("--allow-senders", "alpha", "--allow-readers", "prometheus");
        using HttpResponseMessage answer = await ReadAsync(daemon, "alpha", "/metrics", HttpVersion.Version11);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Who_is_on_no_list_reads_nothing()
    {
        await using DaemonProcess daemon = await StartAsync("--allow-senders", "alpha", "--allow-readers", "prometheus");
        _ = await Assert.ThrowsAsync<HttpRequestException>(() => ReadAsync(daemon, "stranger", "/metrics", HttpVersion.Version11));
        await daemon.LogUntilAsync(
            "none of its names (stranger) is in --allow-senders here, and none of its names (stranger) is in --allow-readers here");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Nothing_is_read_where_daemons_call()
    {
        await using DaemonProcess daemon = await StartAsync("--allow-senders", "alpha", "--allow-readers", "prometheus");
        using HttpResponseMessage answer = await ReadAsync(daemon.Listen, "prometheus", "/metrics", HttpVersion.Version20);
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        _ = await Assert.ThrowsAsync<HttpRequestException>(() => ReadAsync(daemon.Listen, "prometheus", "/metrics", HttpVersion.Version11));
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_reader_may_send_no_guest()
    {
        await using DaemonProcess destination = await StartAsync("--allow-senders", "alpha", "--allow-readers", "prometheus");
        await using DaemonProcess source = await DaemonProcess.StartAsync("prometheus", "--tls", _authority.Issue("prometheus", "127.0.0.1"));
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);

        (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Fails("none of its names (prometheus) is in --allow-senders");

        await source.GuestIsWellAsync("g");
        Assert.Empty(await destination.GuestsAsync());
    }

    private Task<DaemonProcess> StartAsync(params string[] options) =>
        DaemonProcess.StartAsync("daemon", ["--tls", _authority.Issue("daemon", "127.0.0.1"), .. DaemonProcess.Readable, .. options]);

    private Task<HttpResponseMessage> ReadAsync(DaemonProcess daemon, string name, string path, Version version) =>
        ReadAsync(daemon.Web, name, path, version);

    private async Task<HttpResponseMessage> ReadAsync(string address, string name, string path, Version version)
    {
        using X509Certificate2 client = _authority.IssueClient(name, DateTimeOffset.UtcNow.AddMinutes(5));
        using var handler = new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                ClientCertificates = [client],
                // Whom this side talks to is not what is tested here.
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            },
        };
        using var http = new HttpClient(handler) { Timeout = Deadline };
        using var request = new HttpRequestMessage(HttpMethod.Get, $"https://{address}{path}")
        {
            Version = version,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        return await http.SendAsync(request);
    }
}
