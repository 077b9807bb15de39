using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Security.Authentication;
using Google.Protobuf;

namespace MigrationD.Protocol.Grpc;

/// <summary>
/// Calls the methods of one server. Connects when the first call needs it and again whenever the connection was lost; any number of calls
/// share it. Safe for use by several threads.
/// </summary>
/// <remarks>
/// Nothing is retried here: a caller that wants to wait for a server runs its call in <see cref="GrpcDialing.DialPipeline"/>.
/// </remarks>
public sealed class GrpcChannel : IDisposable
{
    private readonly GrpcTarget _target;
    private readonly GrpcChannelOptions _options;
    private readonly HttpMessageInvoker _http;
    private readonly CancellationTokenSource _closed = new();
    private volatile IPAddress? _reached;

    private GrpcChannel(GrpcTarget target, GrpcChannelOptions options)
    {
        _target = target;
        _options = options;
        _http = new HttpMessageInvoker(new SocketsHttpHandler
        {
            ConnectCallback = (_, cancellation) => DialAsync(cancellation),
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = null,
            EnableMultipleHttp2Connections = true,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            KeepAlivePingDelay = options.KeepAlive,
            KeepAlivePingTimeout = options.KeepAlive,

            // Below what servers wait for (GrpcKestrel), so that no call meets a connection that is being closed.
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(20),
        });
    }

    /// <summary>Where it connects to, as it was given.</summary>
    public string Target => _target.Name;

    /// <summary>Which address of its host the last connection reached; null before there was one, and of a unix socket.</summary>
    public IPAddress? ReachedAddress => _reached;

    // Servers compare it with the connection. The handler takes a stream that has shaken hands already as it is.
    private string Scheme => _options.Tls is null ? "http" : "https";

    /// <summary>A channel to a server. Does not connect yet.</summary>
    /// <param name="target"><c>unix:/path</c>, <c>HOST:PORT</c> or <c>[IPV6]:PORT</c>.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <exception cref="FormatException"><paramref name="target"/> is none of these; the message says why.</exception>
    public static GrpcChannel Connect(string target, GrpcChannelOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        return new GrpcChannel(GrpcTarget.Parse(target), options ?? new GrpcChannelOptions());
    }

    /// <summary>Calls a method that answers with one message.</summary>
    /// <param name="method">The method; one without <see cref="GrpcMethod{TRequest,TResponse}.ServerStreaming"/>.</param>
    /// <param name="request">What to send.</param>
    /// <param name="deadline">How long to wait for the answer, connecting included; the server is told. Null to wait for ever.</param>
    /// <param name="cancellation">Gives the call up; the server's handler sees that.</param>
    /// <typeparam name="TRequest">The request's message.</typeparam>
    /// <typeparam name="TResponse">The answer's message.</typeparam>
    /// <exception cref="GrpcException">
    /// The call ended with another status than OK. UNAVAILABLE: the server could not be reached, or the connection was lost, and then the
    /// call may have been carried out. DEADLINE_EXCEEDED: <paramref name="deadline"/> passed; the same holds.
    /// </exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> fired.</exception>
    /// <exception cref="ObjectDisposedException">The channel was closed before.</exception>
    public async Task<TResponse> CallAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method,
        TRequest request,
        TimeSpan? deadline = null,
        CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(request);
        if (method.ServerStreaming)
        {
            throw new ArgumentException($"{method.Path} answers with a stream; call it with {nameof(StreamAsync)}.", nameof(method));
        }

        ObjectDisposedException.ThrowIf(_closed.IsCancellationRequested, this);
        using var call = new GrpcClientCall<TRequest, TResponse>(
            _http, Scheme, _target, method, _options.MaxReceiveMessageBytes, _closed.Token, deadline, cancellation);
        await call.StartAsync(request).ConfigureAwait(false);
        TResponse? answer = await call.ReadAsync().ConfigureAwait(false);

        // The status comes after the message, so only now is it known that the answer counts. UNIMPLEMENTED is what
        // grpc/doc/statuscodes.md gives an answer with the wrong number of messages.
        if (answer is null || await call.ReadAsync().ConfigureAwait(false) is not null)
        {
            string found = answer is null ? "none" : "more than one";
            throw new GrpcException(
                GrpcStatusCode.Unimplemented,
                $"{method.Path} on {Target}: the server answered OK with {found} of exactly one message.");
        }

        return answer;
    }

    /// <summary>Calls a method that answers with a stream of messages, and yields each as it comes.</summary>
    /// <param name="method">The method; one with <see cref="GrpcMethod{TRequest,TResponse}.ServerStreaming"/>.</param>
    /// <param name="request">What to send. It is sent when the enumeration begins, and again by each further enumeration.</param>
    /// <param name="cancellation">Gives the call up, as leaving the enumeration early does; the server's handler sees either.</param>
    /// <typeparam name="TRequest">The request's message.</typeparam>
    /// <typeparam name="TResponse">Each answer's message.</typeparam>
    /// <exception cref="GrpcException">Thrown by the enumeration; see <see cref="CallAsync"/>.</exception>
    /// <exception cref="OperationCanceledException">Thrown by the enumeration: <paramref name="cancellation"/> fired.</exception>
    public async IAsyncEnumerable<TResponse> StreamAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method,
        TRequest request,
        [EnumeratorCancellation] CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(request);
        if (!method.ServerStreaming)
        {
            throw new ArgumentException($"{method.Path} answers with one message; call it with {nameof(CallAsync)}.", nameof(method));
        }

        ObjectDisposedException.ThrowIf(_closed.IsCancellationRequested, this);
        using var call = new GrpcClientCall<TRequest, TResponse>(
            _http, Scheme, _target, method, _options.MaxReceiveMessageBytes, _closed.Token, null, cancellation);
        await call.StartAsync(request).ConfigureAwait(false);
        while (await call.ReadAsync().ConfigureAwait(false) is { } answer)
        {
            yield return answer;
        }
    }

    /// <summary>Closes the connection; calls in flight end with CANCELLED.</summary>
    public void Dispose()
    {
        // The handler alone would let them run to their end.
        _closed.Cancel();
        _http.Dispose();
    }

    private async ValueTask<Stream> DialAsync(CancellationToken cancellation)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(_options.ConnectTimeout);

        Socket socket = _target.EndPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(_target.EndPoint, timeout.Token).ConfigureAwait(false);
            IPAddress? reached = socket.RemoteEndPoint is IPEndPoint { Address: var address } ? Unmapped(address) : null;
            if (reached is not null && _options.RefuseAddress(reached) is { } why)
            {
                throw new GrpcException(GrpcStatusCode.Unauthenticated, $"Cannot connect to {Target}: {why}.");
            }

            var stream = new NetworkStream(socket, ownsSocket: true);
            Stream connection = _options.Tls is { } tls ? await SecureAsync(stream, tls, timeout.Token).ConfigureAwait(false) : stream;
            _reached = reached;
            return connection;
        }
        catch (Exception error)
        {
            socket.Dispose();
            if (cancellation.IsCancellationRequested)
            {
                throw;
            }

            // A dial that was cut short ends in different exceptions, depending on how far it had come.
            throw error switch
            {
                _ when timeout.IsCancellationRequested => Unreachable($"no answer within {_options.ConnectTimeout.TotalSeconds:0.###} s"),
                SocketException refused => Unreachable(Describe(refused)),
                IOException broken => Unreachable($"the TLS handshake broke off: {broken.Message}"),
                _ => error,
            };

            GrpcException Unreachable(string reason) => new(
                GrpcStatusCode.Unavailable,
                $"Cannot connect to {Target}: {reason}. Check that the daemon runs and listens there.",
                error);
        }
    }

    private static IPAddress Unmapped(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    /// <summary>Shakes hands. Whom this side refuses it refuses for good, so that is no matter of trying again.</summary>
    private async Task<Stream> SecureAsync(Stream stream, PeerTls tls, CancellationToken cancellation)
    {
        string? refusal = null;
        var secure = new SslStream(stream);
        try
        {
            await secure.AuthenticateAsClientAsync(tls.ClientOptions(_target.Host, why => refusal = why), cancellation).ConfigureAwait(false);
            return secure;
        }
        catch (AuthenticationException error)
        {
            throw new GrpcException(
                GrpcStatusCode.Unauthenticated,
                $"Cannot connect to {Target}: {refusal ?? $"the TLS handshake failed: {error.Message}"}.",
                error);
        }
    }

    private string Describe(SocketException error)
    {
        // .NET reports the ENOENT of a unix socket as EADDRNOTAVAIL, which would lead an operator astray.
        return error.SocketErrorCode == SocketError.AddressNotAvailable && _target.EndPoint is UnixDomainSocketEndPoint
            ? "ENOENT (errno 2), there is no such socket"
            : $"{error.SocketErrorCode} (errno {error.NativeErrorCode}), {error.Message}";
    }
}
