using System.Net;
using System.Net.Sockets;
using Grpc.Health.V1;
using Grpc.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Services;
using MigrationD.Protocol.Calls;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>
/// A Kestrel of its own for one door: what is served at one is not served at another. One for calls has gRPC's own services besides, health
/// and reflection, for probes and for clients without a proto file.
/// </summary>
internal sealed class Door(WebApplication application) : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(5);

    /// <summary>The HOST:PORT that it listens on, with the port that the system chose.</summary>
    public string Address =>
        new Uri(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;

    /// <summary>Listens, and serves calls.</summary>
    /// <param name="logging">The daemon's log.</param>
    /// <param name="listen">Adds the listener.</param>
    /// <param name="service">What reflection tells of besides itself and health. Named here, as native code cannot look for it.</param>
    /// <param name="services">The services themselves; one instance of each answers every call.</param>
    /// <param name="map">Maps them.</param>
    /// <param name="requests">Counts requests; null where nothing is counted.</param>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public static Task<Door> ServeCallsAsync(
        ILoggerFactory logging, Action<KestrelServerOptions> listen, ServiceDescriptor service, Action<IServiceCollection> services,
        Action<IEndpointRouteBuilder> map, RequestMeter? requests) => StartAsync(
        logging,
        kestrel =>
        {
            kestrel.ConfigureForCalls();
            listen(kestrel);
        },
        added =>
        {
            ServiceDescriptor[] described =
            [
                service, Health.Descriptor, Grpc.Reflection.V1.ServerReflection.Descriptor,
                Grpc.Reflection.V1Alpha.ServerReflection.Descriptor,
            ];
            added.AddCalls();
            added.AddSingleton(new ReflectionV1ServiceImpl(described)).AddSingleton(new ReflectionServiceImpl(described));
            services(added);
        },
        served =>
        {
            served.UseCalls();
            map(served);
            served.MapGrpcService<HealthService>();
            served.MapGrpcService<ReflectionV1ServiceImpl>();
            served.MapGrpcService<ReflectionServiceImpl>();
        },
        requests);

    /// <summary>Listens on the socket that <paramref name="bind"/> makes, and serves pages.</summary>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public static Task<Door> ServePagesAsync(
        ILoggerFactory logging, Action<KestrelServerOptions> listen, Func<EndPoint, Socket> bind, Action<IEndpointRouteBuilder> map,
        RequestMeter requests) => StartAsync(
        logging,
        listen,
        services => services.Configure<SocketTransportOptions>(sockets => sockets.CreateBoundListenSocket = bind),
        map,
        requests);

    public async ValueTask DisposeAsync()
    {
        using var deadline = new CancellationTokenSource(StopDeadline);
        await application.StopAsync(deadline.Token).ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
    }

    private static async Task<Door> StartAsync(
        ILoggerFactory logging, Action<KestrelServerOptions> listen, Action<IServiceCollection> services, Action<WebApplication> serve,
        RequestMeter? requests)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(logging);
        builder.Services.AddRouting();
        services(builder.Services);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(listen);
        WebApplication built = builder.Build();
        if (requests is not null)
        {
            built.Use(requests.CountAsync);
        }

        serve(built);
        try
        {
            await built.StartAsync().ConfigureAwait(false);
            return new Door(built);
        }
        catch
        {
            await built.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
