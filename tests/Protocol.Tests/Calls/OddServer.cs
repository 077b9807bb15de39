using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using MigrationD.Protocol.Calls;

namespace MigrationD.Protocol.Tests.Calls;

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
    public static async Task<OddServer> AnswerAsync(RequestDelegate answer)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        var server = new OddServer(builder.Build());
        server._app.Run(answer);
        await server._app.StartAsync(Deadlines.Token());
        server.Target = new Uri(server._app.Services.GetRequiredService<IServer>().Features
            .GetRequiredFeature<IServerAddressesFeature>().Addresses.Single()).Authority;
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
