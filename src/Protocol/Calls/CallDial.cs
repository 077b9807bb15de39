using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace MigrationD.Protocol.Calls;

/// <summary>Makes the connections of a <see cref="CallChannel"/>, and says what was in the way when there was none to be had.</summary>
internal sealed class CallDial(CallTarget target, CallChannelOptions options)
{
    private volatile IPAddress? _reached;

    /// <inheritdoc cref="CallChannel.ReachedAddress"/>
    public IPAddress? ReachedAddress => _reached;

    /// <summary>Makes a connection that is ready for HTTP/2.</summary>
    /// <exception cref="Refusal">UNREACHABLE: nothing answers there. UNTRUSTED: what answers is not to be spoken with.</exception>
    public async ValueTask<Stream> ConnectAsync(CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(options.ConnectTimeout);

        Socket socket = target.EndPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target.EndPoint, timeout.Token).ConfigureAwait(false);
            IPAddress? reached = socket.RemoteEndPoint is IPEndPoint { Address: var address } ? Unmapped(address) : null;
            if (reached is not null && options.RefuseAddress(reached) is { } why)
            {
                throw new Refusal(Because.Untrusted, $"Cannot connect to {target.Name}: {why}.");
            }

            var stream = new NetworkStream(socket, ownsSocket: true);
            Stream connection = options.Tls is { } tls ? await SecureAsync(stream, tls, timeout.Token).ConfigureAwait(false) : stream;
            _reached = reached;
            return connection;
        }
        catch (Exception error)
        {
            socket.Dispose();
            if (cancellationToken.IsCancellationRequested)
            {
                throw;
            }

            // A dial that was cut short ends in different exceptions, depending on how far it had come.
            throw error switch
            {
                _ when timeout.IsCancellationRequested => Unreachable($"no answer within {options.ConnectTimeout.TotalSeconds:0.###} s"),
                SocketException refused => Unreachable(Describe(refused)),
                IOException broken => Unreachable($"the TLS handshake broke off: {broken.Message}"),
                _ => error,
            };

            Refusal Unreachable(string reason) => new(
                Because.Unreachable,
                $"Cannot connect to {target.Name}: {reason}. Check that the daemon runs and listens there.",
                error);
        }
    }

    private static IPAddress Unmapped(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    /// <summary>Shakes hands. A peer that this side refuses is refused for good, so that is no matter of trying again.</summary>
    private async Task<Stream> SecureAsync(Stream stream, PeerTls tls, CancellationToken cancellationToken)
    {
        string? refusal = null;
        var secure = new SslStream(stream);
        try
        {
            SslClientAuthenticationOptions handshake = tls.ClientOptions(target.Host, why => refusal = why);
            await secure.AuthenticateAsClientAsync(handshake, cancellationToken).ConfigureAwait(false);
            return secure;
        }
        catch (AuthenticationException error)
        {
            throw new Refusal(
                Because.Untrusted,
                $"Cannot connect to {target.Name}: {refusal ?? $"the TLS handshake failed: {error.Message}"}.",
                error);
        }
    }

    // .NET reports the ENOENT of a unix socket as EADDRNOTAVAIL, which would lead an operator astray.
    private string Describe(SocketException error) =>
        error.SocketErrorCode == SocketError.AddressNotAvailable && target.EndPoint is UnixDomainSocketEndPoint
            ? "ENOENT (errno 2), there is no such socket"
            : $"{error.SocketErrorCode} (errno {error.NativeErrorCode}), {error.Message}";
}
