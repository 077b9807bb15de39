using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Control;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Guest;
using MigrationD.Guest.Scheduling;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting;

/// <summary>A running daemon: the guests of this node and the three doors to them (operators, daemons, lanes).</summary>
internal sealed class DaemonHost : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(5);

    private readonly DaemonOptions _options;
    private readonly ILoggerFactory _logging;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _shutdown = new();
    private readonly GuestRegistry _guests;
    private readonly MigrationLog _migrations = new();
    private readonly List<WebApplication> _servers = [];
    private LaneListener? _lanes;
    private ControlSocket? _socket;

    private DaemonHost(DaemonOptions options, ILoggerFactory logging)
    {
        _options = options;
        _logging = logging;
        _logger = logging.CreateLogger("migrationd");
        _guests = new GuestRegistry(new MemoryBudget(options.GuestMemory));
    }

    /// <summary>Serves until <paramref name="stop"/>, then ends in order; 0 when it did.</summary>
    /// <exception cref="IOException">An address or the control socket cannot be had; the message says which and why.</exception>
    public static async Task<int> RunAsync(DaemonOptions options, CancellationToken stop)
    {
        // Before anything starts a thread: they inherit it. Guests and bulk work step back by themselves.
        _ = ThreadRank.TryRaiseToControl();
        using ILoggerFactory logging = DaemonLogging.Create(options);
        await using var host = new DaemonHost(options, logging);
        await host.StartAsync().ConfigureAwait(false);
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            DaemonLog.Stopping(host._logger, options.Node);
        }

        return 0;
    }

    /// <summary>Closes the doors, then ends what is left of the guests.</summary>
    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync().ConfigureAwait(false);
        _lanes?.Dispose();
        foreach (WebApplication server in _servers)
        {
            using var deadline = new CancellationTokenSource(StopDeadline);
            await server.StopAsync(deadline.Token).ConfigureAwait(false);
            await server.DisposeAsync().ConfigureAwait(false);
        }

        _socket?.Dispose();
        foreach (HostedGuest guest in _guests.All().Where(guest => !guest.IsGone))
        {
            // Its memory is this process's: it ends with the process whatever is done here.
            DaemonLog.GuestEndsWithDaemon(_logger, guest.Name);
        }

        _shutdown.Dispose();
    }

    private async Task StartAsync()
    {
        var sessions = new DestinationSessions(_guests, _migrations, _logger);
        _lanes = new LaneListener(_options.Lanes, new LaneOptions(), sessions.ServeLane, _logging.CreateLogger("migrationd.lanes"));
        await OpenAsync("--lanes", _options.Lanes, () =>
        {
            _lanes.Start();
            return Task.CompletedTask;
        }).ConfigureAwait(false);
        IPEndPoint lanes = _lanes.LocalEndPoint;
        // An address that means "any" is of no use to a peer; it takes the host it has dialled.
        bool anyHost = lanes.Address.Equals(IPAddress.Any) || lanes.Address.Equals(IPAddress.IPv6Any);
        var transport = new TransportService(sessions, anyHost ? $":{lanes.Port}" : lanes.ToString());
        WebApplication daemons = Serve(kestrel => kestrel.Listen(_options.Listen, ListenHttp2), transport.Map);
        await OpenAsync("--listen", _options.Listen, () => daemons.StartAsync()).ConfigureAwait(false);

        var node = new Node
        {
            Name = _options.Node,
            Version = DaemonVersion.Text,
            Listen = AddressOf(daemons),
            Lanes = lanes.ToString(),
            ProcessId = Environment.ProcessId,
            ProtocolVersions = { ProtocolVersion.Accepted },
        };
        _socket = ControlSocket.Claim(_options.ControlPath);
        var control = new ControlService(node, _guests, _migrations, _logger, _shutdown.Token);
        await Serve(kestrel => kestrel.ListenUnixSocket(_socket.Path, ListenHttp2), control.Map).StartAsync().ConfigureAwait(false);
        _socket.Protect();
        WarmUp();
        DaemonLog.Serving(_logger, node.Name, _socket.Path, node.Listen, node.Lanes, _options.GuestMemory);
    }

    private static void ListenHttp2(ListenOptions listen) => listen.Protocols = HttpProtocols.Http2;

    private static string AddressOf(WebApplication server)
    {
        string url = server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new Uri(url).Authority;
    }

    private static async Task OpenAsync(string option, IPEndPoint address, Func<Task> open)
    {
        try
        {
            await open().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            throw new IOException($"listen on {address}: {error.GetBaseException().Message}; stop what listens there, or choose another {option}", error);
        }
    }

    private WebApplication Serve(Action<KestrelServerOptions> listen, Action<IEndpointRouteBuilder> map)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddSingleton(_logging);
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.ConfigureForGrpc();
            listen(kestrel);
        });
        WebApplication server = builder.Build();
        map(server);
        server.MapGrpcFallback();
        _servers.Add(server);
        return server;
    }

    /// <summary>Pays for compiling the guests' code before the first migration has to; serving does not wait for it.</summary>
    private static void WarmUp() => Threading.DedicatedThread.Start("warm up", () =>
    {
        GuestFactory.WarmUp(Guest.GuestKind.Workload);
        GuestFactory.WarmUp(Guest.GuestKind.Kvm);
    });
}
