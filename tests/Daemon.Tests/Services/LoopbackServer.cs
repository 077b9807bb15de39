using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;

namespace MigrationD.Daemon.Tests.Services;

/// <summary>A real server of calls on a loopback port, as a daemon has one, for a service that a test has scripted.</summary>
internal sealed class LoopbackServer : IAsyncDisposable
{
    private readonly WebApplication _server;

    private LoopbackServer(WebApplication server, string address)
    {
        _server = server;
        Address = address;
    }

    /// <summary>HOST:PORT.</summary>
    public string Address { get; }

    /// <summary>A server of this service, or of none.</summary>
    public static async Task<LoopbackServer> StartAsync<T>(T? service)
        where T : class
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddCalls();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        if (service is not null)
        {
            builder.Services.AddSingleton(service);
        }

        WebApplication server = builder.Build();
        server.UseCalls();
        if (service is not null)
        {
            server.MapGrpcService<T>();
        }

        await server.StartAsync();
        var bound = new Uri(
            server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return new LoopbackServer(server, $"127.0.0.1:{bound.Port}");
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();
}
