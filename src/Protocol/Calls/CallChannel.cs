using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// The way to one server, for the generated clients of its services. Connects when the first call needs it and again whenever the
/// connection was lost; any number of calls share it. Safe for use by several threads.
/// </summary>
/// <remarks>
/// A call ends with its answer, with a <see cref="Refusals.Refusal"/>, or with <see cref="OperationCanceledException"/> when the token
/// that it was given fired; see <see cref="CallerRefusals"/>. Nothing is retried here: a caller that wants to wait for a server runs its
/// call in <see cref="Dialing.Pipeline"/>.
/// </remarks>
public sealed class CallChannel : IDisposable
{
    private readonly CallDial _dial;
    private readonly GrpcChannel _channel;
    private readonly CallerRefusals _refusals;

    private CallChannel(CallTarget target, CallChannelOptions options)
    {
        Target = target.Name;
        _dial = new CallDial(target, options);

        // The scheme is only a name: the connection comes from the callback, and has shaken hands already. Servers compare it, though.
        string scheme = options.Tls is null ? "http" : "https";
        _channel = GrpcChannel.ForAddress($"{scheme}://{target.Authority}", new GrpcChannelOptions
        {
            HttpHandler = new SocketsHttpHandler
            {
                ConnectCallback = (_, cancellationToken) => _dial.ConnectAsync(cancellationToken),
                UseProxy = false,
                UseCookies = false,
                AllowAutoRedirect = false,
                AutomaticDecompression = DecompressionMethods.None,
                ActivityHeadersPropagator = null,
                EnableMultipleHttp2Connections = true,
                KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
                KeepAlivePingDelay = options.KeepAlive,
                KeepAlivePingTimeout = options.KeepAlive,

                // Below what servers wait for (CallLimits), so that no call meets a connection that is being closed.
                PooledConnectionIdleTimeout = TimeSpan.FromSeconds(20),
            },
            DisposeHttpClient = true,
            MaxReceiveMessageSize = options.MaxReceiveMessageBytes,
            CompressionProviders = [],
        });
        _refusals = new CallerRefusals(target.Name);
        Invoker = _channel.Intercept(_refusals);
    }

    /// <summary>The address that the channel connects to, as it was given.</summary>
    public string Target { get; }

    /// <summary>The address of its host that the last connection reached; null before there was one, and of a unix socket.</summary>
    public IPAddress? ReachedAddress => _dial.ReachedAddress;

    /// <summary>The way in which generated clients make their calls.</summary>
    public CallInvoker Invoker { get; }

    /// <summary>Makes a channel to a server. It does not connect yet.</summary>
    /// <param name="target"><c>unix:/path</c>, <c>HOST:PORT</c> or <c>[IPV6]:PORT</c>.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <exception cref="FormatException"><paramref name="target"/> is none of these; the message says why.</exception>
    public static CallChannel Connect(string target, CallChannelOptions? options = null) =>
        new(CallTarget.Parse(target), options ?? new CallChannelOptions());

    /// <summary>Closes the connection; calls in flight end with CANCELLED.</summary>
    public void Dispose()
    {
        _refusals.ChannelCloses();
        _channel.Dispose();
    }
}
