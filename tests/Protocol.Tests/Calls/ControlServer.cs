using System.Net;
using System.Threading.Channels;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Calls;

/// <summary>
/// Real Kestrel on 127.0.0.1 and a unix socket, serving some methods of Control whose handlers do what the request's name asks for.
/// </summary>
public sealed class ControlServer : Control.ControlBase, IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-grpc-").FullName;
    private readonly Channel<string> _started = Channel.CreateUnbounded<string>();
    private readonly Channel<string> _ended = Channel.CreateUnbounded<string>();
    private readonly WebApplication _app;

    public ControlServer()
        : this(null)
    {
    }

    /// <summary>A server on a unix socket of the given path; null for one in a folder of its own.</summary>
    internal ControlServer(string? socketPath)
    {
        SocketPath = socketPath ?? Path.Combine(_folder, "control.sock");
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForCalls();
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.ListenUnixSocket(SocketPath);
        });
        builder.Services.AddSingleton(this).AddRouting().AddCalls();
        builder.Logging.AddProvider(Log);
        builder.Logging.SetMinimumLevel(LogLevel.Debug);
        _app = builder.Build();
        _app.UseCalls();
        _app.MapGrpcService<ControlServer>();
    }

    /// <summary>What the server logged.</summary>
    internal CapturedLog Log { get; } = new();

    public string SocketPath { get; }

    public string UnixTarget => $"unix:{SocketPath}";

    /// <summary>127.0.0.1:PORT.</summary>
    public string TcpTarget { get; private set; } = "";

    public async ValueTask InitializeAsync() => await StartAsync();

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        await _app.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    public async Task StopAsync() => await _app.StopAsync(Deadlines.Token());

    /// <summary>Waits until the handler of the call with this name hangs.</summary>
    public Task StartedAsync(string name) => FindAsync(_started, name);

    /// <summary>Waits until the handler of the call with this name saw its token fire.</summary>
    public Task EndedAsync(string name) => FindAsync(_ended, name);

    public override Task<Node> GetNode(GetNodeRequest request, ServerCallContext context) => Task.FromResult(new Node { Name = "node" });

    /// <summary>
    /// "fail CODE DETAIL" ends with that status, "throw" with an exception, "hang ..." waits for its token; anything else is echoed.
    /// </summary>
    public override async Task<Guest> GetGuest(GetGuestRequest request, ServerCallContext context)
    {
        string[] words = request.Name.Split(' ', 3);
        switch (words[0])
        {
            case "fail":
                throw new Refusal(Enum.Parse<Because>(words[1]), words[2]);
            case "throw":
                throw new InvalidOperationException("a secret of the server");
            case "hang":
                await HangAsync(request.Name, context);
                break;
        }

        return new Guest { Spec = new GuestSpec { Name = request.Name } };
    }

    /// <summary>"COUNT then [ok | fail CODE DETAIL | throw | hang NAME]": that many messages first.</summary>
    public override Task WatchMigration(
        WatchMigrationRequest request, IServerStreamWriter<Migration> responses, ServerCallContext context) =>
        responses.SendAllAsync(WatchAsync(request, context), context);

    // One class's tests run one after the other, so a name that is not the wanted one is left over from a test that failed.
    private static async Task FindAsync(Channel<string> names, string name)
    {
        while (await names.Reader.ReadAsync(Deadlines.Token()) != name)
        {
        }
    }

    private async Task StartAsync()
    {
        await _app.StartAsync(Deadlines.Token());
        string tcp = _app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses
            .Single(address => !address.Contains("unix", StringComparison.Ordinal));
        TcpTarget = new Uri(tcp).Authority;
    }

    private async IAsyncEnumerable<Migration> WatchAsync(WatchMigrationRequest request, ServerCallContext context)
    {
        string[] parts = request.Id.Split(" then ", 2);
        for (ulong i = 0; i < ulong.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture); i++)
        {
            yield return new Migration { Id = request.Id, PagesReceived = i };
        }

        if (parts[1] != "ok")
        {
            await GetGuest(new GetGuestRequest { Name = parts[1] }, context);
        }
    }

    private async Task HangAsync(string name, ServerCallContext context)
    {
        _started.Writer.TryWrite(name);
        try
        {
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        }
        finally
        {
            _ended.Writer.TryWrite(name);
        }
    }
}
