using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Security;

/// <summary>Daemons that know each other by their certificates, and everybody else.</summary>
public sealed class TlsTests : IDisposable
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const int HangUp = 1;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly Authority _authority = new();

    public void Dispose() => _authority.Dispose();

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task A_guest_moves_between_daemons_that_know_each_other(string kind)
    {
        await using DaemonProcess source = await StartAsync("source", "--allow-senders", "destination", "--allow-receivers", "destination");
        await using DaemonProcess destination = await StartAsync("destination", "--allow-senders", "source", "--allow-receivers", "source");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB");
        await source.MigrateAsync("g", destination);
        await destination.MigrateAsync("g", source);
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_destination_of_another_authority_is_refused()
    {
        using var stranger = new Authority();
        await using DaemonProcess source = await StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", "--tls", stranger.Issue("destination", "127.0.0.1"));
        await FailsAsync(source, destination, "(CN=destination) is not trusted");
    }

    [MachineFact(Host)]
    public async Task A_source_of_another_authority_is_refused()
    {
        using var stranger = new Authority();
        string folder = stranger.Issue("source", "127.0.0.1");
        // It trusts the destination, which does not trust it.
        File.Copy(Path.Combine(_authority.Folder, "ca-cert.pem"), Path.Combine(_authority.Folder, "both.pem"));
        File.AppendAllText(Path.Combine(folder, "ca-cert.pem"), File.ReadAllText(Path.Combine(_authority.Folder, "both.pem")));
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--tls", folder);
        await using DaemonProcess destination = await StartAsync("destination");
        await FailsAsync(source, destination, destination.Listen);
        await destination.LogUntilAsync("(CN=source) is not trusted");
    }

    [MachineFact(Host)]
    public async Task A_destination_with_another_name_than_was_dialled_is_refused()
    {
        await using DaemonProcess source = await StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", "--tls", _authority.Issue("destination", "10.9.8.7"));
        await FailsAsync(source, destination, "it is not for 127.0.0.1", "--host 127.0.0.1");
    }

    [MachineFact(Host)]
    public async Task A_destination_that_is_not_on_the_list_is_refused()
    {
        await using DaemonProcess source = await StartAsync("source", "--allow-receivers", "somebody,else");
        await using DaemonProcess destination = await StartAsync("destination");
        await FailsAsync(source, destination, "none of its names (destination) is in --allow-receivers");
    }

    [MachineFact(Host)]
    public async Task A_source_that_is_taken_off_the_list_is_refused_from_then_on()
    {
        await using DaemonProcess source = await StartAsync("source");
        await using DaemonProcess destination = await StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        await source.MigrateAsync("g", destination);
        await destination.MigrateAsync("g", source);

        File.WriteAllText(destination.ConfigFile, """{ "allowSenders": "another" }""");
        destination.Signal(HangUp);
        await destination.LogUntilAsync("are read anew");

        (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Fails();
        await destination.LogUntilAsync("none of its names (source) is in --allow-senders");
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Certificates_are_exchanged_without_a_restart()
    {
        await using DaemonProcess source = await StartAsync("source");
        await using DaemonProcess destination = await StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "32MiB", "16MiB");
        string[] before = [.. Doors(destination).Select(SerialOf)];

        _authority.Issue("destination", "127.0.0.1");
        destination.Signal(HangUp);
        await destination.LogUntilAsync("are read anew");

        string[] after = [.. Doors(destination).Select(SerialOf)];
        Assert.NotEqual(before[0], after[0]);
        Assert.Equal(after[0], after[1]);
        await source.MigrateAsync("g", destination);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task What_is_wrong_with_new_certificates_changes_nothing()
    {
        await using DaemonProcess source = await StartAsync("source");
        await using DaemonProcess destination = await StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);

        File.WriteAllText(Path.Combine(_authority.Issue("destination", "127.0.0.1"), "server-key.pem"), "nothing");
        destination.Signal(HangUp);
        await destination.LogUntilAsync("nothing has changed");

        await source.MigrateAsync("g", destination);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Who_shows_nothing_or_something_that_has_expired_is_let_in_nowhere()
    {
        await using DaemonProcess daemon = await StartAsync("daemon");
        using X509Certificate2 expired = _authority.IssueClient("source", DateTimeOffset.UtcNow.AddMinutes(-1));
        foreach (IPEndPoint door in Doors(daemon))
        {
            Assert.True(IsCutOff(door, null));
            Assert.True(IsCutOff(door, expired));
        }

        await daemon.LogUntilAsync("it shows no certificate");
        await daemon.LogUntilAsync("NotTimeValid");
    }

    [MachineFact(Host)]
    public async Task Plain_text_and_TLS_do_not_mix()
    {
        await using DaemonProcess plain = await DaemonProcess.StartAsync("plain");
        await using DaemonProcess secure = await StartAsync("secure");
        await FailsAsync(plain, secure, secure.Listen);
        await FailsAsync(secure, plain, plain.Listen);
    }

    [MachineFact(Host | Needs.NetworkNamespaces)]
    public async Task No_guest_leaves_this_host_in_plain_text_unless_the_operator_says_so()
    {
        using NetworkPair network = NetworkPair.Create();
        // It is in the first host's network, and has not been told that this network is trusted.
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source",
            start =>
            {
                start.ArgumentList.Insert(0, start.FileName);
                start.ArgumentList.Insert(0, $"--net=/run/netns/{network.One.Namespace}");
                start.FileName = "nsenter";
            });
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await FailsAsync(source, destination, network.Two.Address, "--tls", "--insecure");
    }

    [MachineFact(Host | Needs.NetworkNamespaces)]
    public async Task A_lost_link_is_restored_over_TLS()
    {
        const ulong Pages = 8192;
        // Ten seconds of pages: some are missing when the link is cut, on a busy machine too.
        using NetworkPair network = NetworkPair.Create("20mbit");
        string[] options = ["--link-timeout", "2s", "--switchover-timeout", "10s"];
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", network.One.Enter, [.. options, "--tls", _authority.Issue("source", network.One.Address)]);
        await using DaemonProcess destination = await DaemonProcess.StartAsync(
            "destination", network.Two.Enter, [.. options, "--tls", _authority.Issue("destination", network.Two.Address)]);
        await source.CreateGuestAsync("g", "kvm", "32MiB", "24MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyActive && one.PagesReceived >= Pages / 2);

        network.StartDropping();
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
        network.Shape("100mbit");
        network.StopDropping();

        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Host)]
    [InlineData("server-key.pem")]
    [InlineData("client-key.pem")]
    public async Task A_key_that_others_may_read_is_refused_at_start(string key)
    {
        string folder = _authority.Issue("daemon", "127.0.0.1");
        string file = Path.Combine(folder, key);
        File.SetUnixFileMode(file, File.GetUnixFileMode(file) | UnixFileMode.OtherRead);
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => DaemonProcess.StartAsync("daemon", "--tls", folder));
        Assert.Contains($"{file} is open to others (mode 604)", error.Message, StringComparison.Ordinal);
    }

    private Task<DaemonProcess> StartAsync(string node, params string[] options) =>
        DaemonProcess.StartAsync(node, ["--tls", _authority.Issue(node, "127.0.0.1"), .. options]);

    private static IPEndPoint[] Doors(DaemonProcess daemon) => [IPEndPoint.Parse(daemon.Listen), IPEndPoint.Parse(daemon.Lanes)];

    /// <summary>The guest does not get there, the message has the words, and the guest goes on where it was.</summary>
    private static async Task FailsAsync(DaemonProcess source, DaemonProcess destination, params string[] words)
    {
        await source.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Fails(words);
        await source.GuestIsWellAsync("g");
        Assert.Empty(await destination.GuestsAsync());
        (await source.CliAsync("guest", "delete", "g")).Succeeds();
    }

    private string SerialOf(IPEndPoint door)
    {
        using X509Certificate2 client = _authority.IssueClient("test", DateTimeOffset.UtcNow.AddMinutes(5));
        using SslStream stream = Shake(door, client);
        return stream.RemoteCertificate!.GetSerialNumberString();
    }

    /// <summary>In TLS 1.3 a client hears that it is not welcome when it reads.</summary>
    private static bool IsCutOff(IPEndPoint door, X509Certificate2? client)
    {
        try
        {
            using SslStream stream = Shake(door, client);
            stream.Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);
            return stream.Read(new byte[1]) == 0;
        }
        catch (Exception error) when (error is AuthenticationException
            or IOException { InnerException: not SocketException { SocketErrorCode: SocketError.TimedOut } })
        {
            return true;
        }
    }

    private static SslStream Shake(IPEndPoint door, X509Certificate2? client)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = (int)Deadline.TotalMilliseconds };
        socket.Connect(door);
        // Whom this side talks to is not what is tested with it.
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true), false, (_, _, _, _) => true);
        stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "127.0.0.1",
            EnabledSslProtocols = SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            ClientCertificates = client is null ? null : [client],
        });
        return stream;
    }
}
