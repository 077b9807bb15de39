using System.Net;
using MigrationD.Protocol.Grpc;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>Kestrel on a port of 127.0.0.1 that answers as a test wants, right or wrong.</summary>
internal sealed class OddServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private OddServer(WebApplication app)
    {
        _app = app;
    }

    /// <summary>127.0.0.1:PORT.</summary>
    public string Target { get; private set; } = "";

    /// <summary>A server that hands every request to <paramref name="answer"/>.</summary>
    public static Task<OddServer> AnswerAsync(RequestDelegate answer) => StartAsync(app => app.Run(answer));

    /// <summary>A server that <paramref name="map"/> sets up.</summary>
    public static async Task<OddServer> StartAsync(
        Action<WebApplication> map, HttpProtocols protocols = HttpProtocols.Http2, Action<IServiceCollection>? configure = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForGrpc();
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = protocols);
        });
        builder.Services.AddRouting();
        configure?.Invoke(builder.Services);
        var server = new OddServer(builder.Build());
        map(server._app);
        await server._app.StartAsync(Deadlines.Token());
        server.Target = new Uri(server._app.Services.GetRequiredService<IServer>().Features
            .GetRequiredFeature<IServerAddressesFeature>().Addresses.Single()).Authority;
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
