using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Who is let in, and what those hear who are not, while the lanes of others go on.</summary>
public sealed class LaneTlsTests : IDisposable
{
    private static readonly Dictionary<string, string> None = [];

    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _stranger = new("somebody else");

    public void Dispose()
    {
        _authority.Dispose();
        _stranger.Dispose();
    }

    [Theory]
    [InlineData("other authority", "UntrustedRoot", "PartialChain")]
    [InlineData("expired", "NotTimeValid", "expired")]
    [InlineData("name", "mallory is not on the list", "mallory is not on the list")]
    [InlineData("check that fails", "the list cannot be read", "the list cannot be read")]
    public void Client_that_is_refused_hears_of_it_and_others_go_on(string what, string inLog, string orInLog)
    {
        using LaneFixture fixture = Serve(_authority.Tls(refuse: peer => peer.Subject switch
        {
            "CN=mallory" => "mallory is not on the list",
            "CN=trouble" => throw new InvalidDataException("the list cannot be read"),
            _ => null,
        }));
        AssertOthersGoOn(fixture, () =>
        {
            PeerTls tls = _authority.Tls(what switch
            {
                "other authority" => _stranger.Issue("client"),
                "expired" => _authority.Issue("client", ago: TimeSpan.FromDays(1.2)),
                "name" => _authority.Issue("mallory"),
                _ => _authority.Issue("trouble"),
            });
            var error = Assert.Throws<LaneException>(() => fixture.Open(options: new LaneOptions { Tls = tls }));
            Assert.Equal(LaneFailure.PeerClosed, error.Kind);
            Assert.Contains("may refuse this side's certificate", error.Message, StringComparison.Ordinal);
            string log = fixture.Log.Next();
            Assert.Contains("is refused: its certificate", log, StringComparison.Ordinal);
            Assert.True(
                log.Contains(inLog, StringComparison.Ordinal) || log.Contains(orInLog, StringComparison.Ordinal), log);
        });
    }

    [Fact]
    public void Client_without_a_certificate_is_refused_and_others_go_on()
    {
        using LaneFixture fixture = Serve(_authority.Tls());
        AssertOthersGoOn(fixture, () =>
        {
            var options = new SslClientAuthenticationOptions { ApplicationProtocols = [SslApplicationProtocol.Http2] };
            using (SslStream peer = Shake(fixture, options))
            {
                Assert.Equal(0, peer.Read(new byte[1]));
            }

            Assert.Contains("it shows no certificate", fixture.Log.Next(), StringComparison.Ordinal);
        });
    }

    [Theory]
    [InlineData("TLS 1.2", "TLS handshake failed")]
    [InlineData("no ALPN", "ALPN")]
    [InlineData("HTTP/1.1", "TLS handshake failed")]
    public void Client_that_speaks_another_dialect_is_refused_and_others_go_on(string what, string inLog)
    {
        using LaneFixture fixture = Serve(_authority.Tls());
        AssertOthersGoOn(fixture, () =>
        {
            var error = Record.Exception(() =>
            {
                using SslStream peer = Shake(fixture, new SslClientAuthenticationOptions
                {
                    ClientCertificateContext = _authority.Tls("client").Certificate,
                    EnabledSslProtocols = what == "TLS 1.2" ? SslProtocols.Tls12 : SslProtocols.Tls13,
                    ApplicationProtocols = what == "no ALPN"
                        ? null
                        : [what == "HTTP/1.1" ? SslApplicationProtocol.Http11 : SslApplicationProtocol.Http2],
                });
                Assert.Equal(0, peer.Read(new byte[1]));
            });
            Assert.True(error is null or IOException or AuthenticationException, $"{error}");
            Assert.Contains(inLog, fixture.Log.Next(), StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Server_that_is_refused_is_named_and_hears_of_it()
    {
        using LaneFixture fixture = Serve(_authority.Tls("impostor"));
        AssertOthersGoOn(fixture, () =>
        {
            PeerTls picky = _authority.Tls("client", peer => peer.Subject == "CN=destination" ? null : "it is not the destination");
            var error = Assert.Throws<LaneException>(() => fixture.Open(options: new LaneOptions { Tls = picky }));
            Assert.Equal(LaneFailure.ProtocolError, error.Kind);
            Assert.Contains($"{fixture.Listener.LocalEndPoint}", error.Message, StringComparison.Ordinal);
            Assert.Contains("(CN=impostor) is refused: it is not the destination", error.Message, StringComparison.Ordinal);
            Assert.Contains("may refuse this side's certificate", fixture.Log.Next(), StringComparison.Ordinal);

            PeerTls foreign = _stranger.Tls(_authority.Issue("client"));
            error = Assert.Throws<LaneException>(() => fixture.Open(options: new LaneOptions { Tls = foreign }));
            Assert.Contains("(CN=impostor) is not trusted", error.Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Client_without_TLS_is_told_so_and_others_go_on()
    {
        using LaneFixture fixture = Serve(_authority.Tls());
        AssertOthersGoOn(fixture, () =>
        {
            var error = Assert.Throws<LaneException>(() => fixture.Open(options: new LaneOptions()));
            Assert.Equal(LaneFailure.Reset, error.Kind);
            Assert.Contains("with TLS only", error.Message, StringComparison.Ordinal);
            string log = fixture.Log.Next();
            Assert.Contains("without TLS", log, StringComparison.Ordinal);
            Assert.Contains("PRI * HTTP/2.0", log, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Client_with_TLS_at_a_listener_without_is_told_so_and_others_go_on()
    {
        using LaneFixture fixture = Serve(null);
        AssertOthersGoOn(fixture, () =>
        {
            var error = Assert.Throws<LaneException>(() => fixture.Open(options: new LaneOptions { Tls = _authority.Tls() }));
            Assert.Equal(LaneFailure.ProtocolError, error.Kind);
            Assert.Contains("answers without TLS", error.Message, StringComparison.Ordinal);
            Assert.Contains("seems to speak TLS", fixture.Log.Next(), StringComparison.Ordinal);
        });
    }

    [Theory]
    [InlineData("silent")]
    [InlineData("slow")]
    [InlineData("half a record")]
    public void Client_that_does_not_come_to_its_call_is_dropped_at_the_deadline(string how)
    {
        var options = new LaneOptions
        {
            Tls = _authority.Tls(),
            HandshakeTimeout = TimeSpan.FromMilliseconds(400),
            LingerTimeout = TimeSpan.FromMilliseconds(50),
        };
        using var fixture = new LaneFixture(Echo, options);
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(fixture.Listener.LocalEndPoint);
        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            switch (how)
            {
                case "slow":
                    // A ClientHello of 512 bytes that comes byte by byte and never ends.
                    socket.Send([22, 3, 1, 2, 0]);
                    try
                    {
                        while (!socket.Poll(20_000, SelectMode.SelectRead))
                        {
                            socket.Send([1]);
                        }
                    }
                    catch (SocketException)
                    {
                    }

                    break;
                case "half a record":
                    try
                    {
                        Shake(socket, _authority.Tls("client"));
                        socket.Send([23, 3, 3, 0x40, 0, 1, 2, 3]);
                    }
                    catch (Exception error) when (error is IOException or SocketException or AuthenticationException)
                    {
                        // On a busy machine the deadline passes before the handshake is over: it is the same deadline.
                    }

                    break;
            }

            string log = fixture.Log.Next();
            Assert.Contains("deadline", log, StringComparison.Ordinal);
        }));
    }

    [Fact]
    public void Server_that_does_not_answer_is_given_up_at_the_deadline_or_by_cancellation()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen();
        using var cancellation = new CancellationTokenSource();
        var patient = new LaneOptions { Tls = _authority.Tls(), HandshakeTimeout = LaneFixture.Deadline * 2 };
        Task cancelled = LaneFixture.Run(() => Assert.Throws<OperationCanceledException>(
            () => LaneClient.Open(socket.LocalEndPoint!, "/test/Lane", None, patient, cancellation.Token)));
        using Socket accepted = socket.Accept();
        Assert.NotEqual(0, accepted.Receive(new byte[1]));
        cancellation.Cancel();
        LaneFixture.Wait(cancelled);

        LaneFixture.Wait(LaneFixture.Run(() =>
        {
            LaneOptions impatient = patient with { HandshakeTimeout = TimeSpan.FromMilliseconds(200) };
            var error = Assert.Throws<LaneException>(
                () => LaneClient.Open(socket.LocalEndPoint!, "/test/Lane", None, impatient, CancellationToken.None));
            Assert.Equal(LaneFailure.Timeout, error.Kind);
            Assert.Contains("TLS handshake", error.Message, StringComparison.Ordinal);
        }));
    }

    [Fact]
    public void Closing_the_listener_ends_handshakes()
    {
        using var fixture = new LaneFixture(
            Echo, new LaneOptions { Tls = _authority.Tls(), HandshakeTimeout = LaneFixture.Deadline * 2 });
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(fixture.Listener.LocalEndPoint);
        socket.Send([22, 3, 1]);

        // The lane of this one was accepted later, so that of the one above exists.
        using LaneCall call = fixture.Open();
        LaneFixture.Wait(LaneFixture.Run(fixture.Listener.Dispose));
        socket.ReceiveTimeout = (int)LaneFixture.Deadline.TotalMilliseconds;
        Assert.Equal(0, socket.Receive(new byte[1]));
    }

    [Fact]
    public void Peer_that_dies_is_noticed()
    {
        using var gone = new ManualResetEventSlim();
        using var fixture = new LaneFixture(
            call =>
            {
                call.Accept();
                var error = Assert.Throws<LaneException>(() => call.TryReadMessage(out _));
                Assert.Equal(LaneFailure.Reset, error.Kind);
                gone.Set();
            },
            new LaneOptions { Tls = _authority.Tls() });
        RawPeer peer = fixture.Connect();
        peer.Send(RawPeer.Opening());
        peer.ReadUntil(Protocol.Lanes.Http2.FrameType.Headers);
        peer.Reset();
        Assert.True(gone.Wait(LaneFixture.Deadline));
    }

    [Fact]
    public void Records_that_were_tampered_with_end_the_lane()
    {
        string? message = null;
        using var gone = new ManualResetEventSlim();
        using var fixture = new LaneFixture(
            call =>
            {
                call.Accept();
                var error = Assert.Throws<LaneException>(() => call.TryReadMessage(out _));
                message = $"{error.Kind}: {error.Message}";
                gone.Set();
            },
            new LaneOptions { Tls = _authority.Tls() });
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(fixture.Listener.LocalEndPoint);
        SslStream peer = Shake(socket, _authority.Tls("client"));
        peer.Write(RawPeer.Opening());
        socket.Send([23, 3, 3, 0, 32, .. new byte[32]]);
        Assert.True(gone.Wait(LaneFixture.Deadline));
        Assert.StartsWith("ProtocolError", message, StringComparison.Ordinal);
        Assert.Contains("TLS failed while receiving", message, StringComparison.Ordinal);
    }

    private static LaneFixture Serve(PeerTls? tls) => new(Echo, new LaneOptions { Tls = tls, LingerTimeout = TimeSpan.FromSeconds(10) });

    private static void Echo(LaneCall call)
    {
        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            var message = new byte[length];
            call.Read(message);
            call.Write(message);
        }
    }

    private static void AssertOthersGoOn(LaneFixture fixture, Action meanwhile) => LaneFixture.Wait(LaneFixture.Run(() =>
    {
        using LaneCall other = LaneClient.Open(
            fixture.Listener.LocalEndPoint, "/test/Lane", None, fixture.Options with { Tls = AnyName(fixture.Options.Tls) }, default);
        AssertEchoes(other, 1);
        meanwhile();
        AssertEchoes(other, 2);
        other.FinishWriting();
        Assert.False(other.TryReadMessage(out _));
    }));

    private static PeerTls? AnyName(PeerTls? tls) => tls is null ? null : tls with { RefusePeer = _ => null };

    private static void AssertEchoes(LaneCall call, byte content)
    {
        call.Write([content]);
        Assert.True(call.TryReadMessage(out int length));
        var echo = new byte[length];
        call.Read(echo);
        Assert.Equal([content], echo);
    }

    private static SslStream Shake(LaneFixture fixture, SslClientAuthenticationOptions options)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveTimeout = (int)LaneFixture.Deadline.TotalMilliseconds,
        };
        socket.Connect(fixture.Listener.LocalEndPoint);
        return Shake(new NetworkStream(socket, ownsSocket: true), options);
    }

    private static SslStream Shake(Socket socket, PeerTls tls) => Shake(new NetworkStream(socket), new SslClientAuthenticationOptions
    {
        ClientCertificateContext = tls.Certificate,
        ApplicationProtocols = [SslApplicationProtocol.Http2],
    });

    private static SslStream Shake(NetworkStream connection, SslClientAuthenticationOptions options)
    {
        var peer = new SslStream(connection);
        options.TargetHost = "localhost";
        options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        try
        {
            peer.AuthenticateAsClient(options);
            return peer;
        }
        catch
        {
            peer.Dispose();
            throw;
        }
    }
}
