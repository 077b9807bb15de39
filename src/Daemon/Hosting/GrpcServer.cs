using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Metrics;
using MigrationD.Protocol.Grpc;

namespace MigrationD.Daemon.Hosting;

/// <summary>A Kestrel of its own for one door: what is served at one is not served at another.</summary>
internal sealed class GrpcServer : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;

    private GrpcServer(WebApplication application)
    {
        _application = application;
    }

    /// <summary>HOST:PORT it listens on, with the port that the system chose.</summary>
    public string Address =>
        new Uri(_application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;

    /// <summary>Listens and serves.</summary>
    /// <param name="logging">The daemon's log.</param>
    /// <param name="listen">Where.</param>
    /// <param name="map">What.</param>
    /// <param name="requests">Counts requests; null where nothing is counted.</param>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public static async Task<GrpcServer> StartAsync(
        ILoggerFactory logging, Action<KestrelServerOptions> listen, Action<IEndpointRouteBuilder> map, RequestMeter? requests)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(logging);
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForGrpc();
            listen(kestrel);
        });
        WebApplication application = builder.Build();
        if (requests is not null)
        {
            application.Use(requests.CountAsync);
        }

        map(application);
        application.MapGrpcFallback();
        try
        {
            await application.StartAsync().ConfigureAwait(false);
            return new GrpcServer(application);
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        using var deadline = new CancellationTokenSource(StopDeadline);
        await _application.StopAsync(deadline.Token).ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
    }
}
