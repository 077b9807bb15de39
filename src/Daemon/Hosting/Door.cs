using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Services;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Hosting;

/// <summary>
/// A Kestrel of its own for one door: what is served at one is not served at another. Each has gRPC's own services besides, health and
/// reflection, for probes and for clients without a proto file.
/// </summary>
internal sealed class Door : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;

    private Door(WebApplication application)
    {
        _application = application;
    }

    /// <summary>HOST:PORT it listens on, with the port that the system chose.</summary>
    public string Address =>
        new Uri(_application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;

    /// <summary>Listens and serves.</summary>
    /// <param name="logging">The daemon's log.</param>
    /// <param name="listen">Where.</param>
    /// <param name="services">The services themselves; one instance of each answers every call.</param>
    /// <param name="map">Maps them.</param>
    /// <param name="requests">Counts requests; null where nothing is counted.</param>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public static async Task<Door> StartAsync(
        ILoggerFactory logging, Action<KestrelServerOptions> listen, Action<IServiceCollection> services, Action<IEndpointRouteBuilder> map,
        RequestMeter? requests)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(logging);
        builder.Services.AddRouting().AddCalls().AddGrpcReflection();
        services(builder.Services);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            listen(kestrel);
        });
        WebApplication application = builder.Build();
        if (requests is not null)
        {
            application.Use(requests.CountAsync);
        }

        application.UseCalls();
        map(application);
        application.MapGrpcService<HealthService>();
        application.MapGrpcReflectionService();
        try
        {
            await application.StartAsync().ConfigureAwait(false);
            return new Door(application);
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
