using System.IO.Pipelines;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Metrics;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// Lets browsers and scrapers read at a listener for gRPC. Kestrel cannot tell HTTP/1.1 from HTTP/2 on one port without TLS, where nobody
/// says beforehand which of the two he speaks. So each connection is looked at: one that begins like GET or HEAD goes to a second Kestrel
/// in this process, as it is; every other one goes on as ever.
/// </summary>
/// <remarks>
/// Nothing of a connection is copied, and its first server keeps it: limits on connections hold for both kinds together. No preface of
/// HTTP/2 ("PRI * HTTP/2.0") and no beginning of TLS (22) begins with G or H, so one byte decides.
/// </remarks>
internal sealed class Http1Door : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;
    private readonly HandoverListener _listener;
    private readonly TimeSpan _patience;

    private Http1Door(WebApplication application, HandoverListener listener, TimeSpan patience)
    {
        _application = application;
        _listener = listener;
        _patience = patience;
    }

    /// <summary>Makes the server ready to be handed connections.</summary>
    /// <param name="logging">The daemon's log.</param>
    /// <param name="map">What can be read.</param>
    /// <param name="requests">Counts requests.</param>
    public static async Task<Http1Door> StartAsync(ILoggerFactory logging, Action<IEndpointRouteBuilder> map, RequestMeter requests)
    {
        var listener = new HandoverListener();
        TimeSpan patience = default;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(logging);
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            KestrelServerLimits limits = kestrel.Limits;
            // The first server counts them.
            limits.MaxConcurrentConnections = null;
            // Whoever reads has nothing to say.
            limits.MaxRequestBodySize = 0;
            patience = limits.RequestHeadersTimeout;
            kestrel.Listen(HandoverListener.Address, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.RemoveAll<IConnectionListenerFactory>().AddSingleton<IConnectionListenerFactory>(listener);
        WebApplication application = builder.Build();
        application.Use(requests.CountAsync);
        map(application);
        try
        {
            await application.StartAsync().ConfigureAwait(false);
            return new Http1Door(application, listener, patience);
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Looks at the connections of a listener. With TLS, to be called after it has been added: what is looked at is then what TLS has
    /// decrypted, and nothing gets in around it.
    /// </summary>
    public void Attend(ListenOptions listen) => listen.Use(next => connection => SortAsync(connection, next));

    /// <summary>Ends the connections that were handed over, then the server.</summary>
    public async ValueTask DisposeAsync()
    {
        using var deadline = new CancellationTokenSource(StopDeadline);
        await _application.StopAsync(deadline.Token).ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
    }

    private async Task SortAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        switch (await FirstByteAsync(connection).ConfigureAwait(false))
        {
            case null:
                return;
            case (byte)'G' or (byte)'H':
                await _listener.HandOverAsync(connection).ConfigureAwait(false);
                return;
            default:
                await next(connection).ConfigureAwait(false);
                return;
        }
    }

    /// <summary>The first byte, left where it is; null when none comes in time, or the connection ends before.</summary>
    private async Task<byte?> FirstByteAsync(ConnectionContext connection)
    {
        PipeReader input = connection.Transport.Input;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed);
        deadline.CancelAfter(_patience);
        try
        {
            ReadResult read = await input.ReadAsync(deadline.Token).ConfigureAwait(false);
            byte? first = read.Buffer.IsEmpty ? null : read.Buffer.FirstSpan[0];
            input.AdvanceTo(read.Buffer.Start);
            return first;
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            return null;
        }
    }
}
