using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Services;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>Where guests come in: the control listener for other daemons, and the lanes.</summary>
internal sealed class PeerDoor(DestinationSessions sessions, NodeCapacity capacity, NodeHealth health, LaneListener lanes, Door control)
    : IAsyncDisposable
{
    /// <summary>HOST:PORT for control, or what a unix socket is called by its server.</summary>
    public string Listen => control.Address;

    public DestinationSessions Sessions => sessions;

    /// <summary>What other daemons are told that there is room for.</summary>
    public NodeCapacity Capacity => capacity;

    /// <summary>Whether guests can come in, and run.</summary>
    public NodeHealth Health => health;

    public IPEndPoint Lanes => lanes.LocalEndPoint;

    /// <summary>Opens both listeners.</summary>
    /// <exception cref="IOException">An address cannot be had; the message says which and what to do.</exception>
    public static async Task<PeerDoor> OpenAsync(PeerAccess access, DestinationNode node, ILoggerFactory logging)
    {
        (PeerSecurity security, IPEndPoint lanes) = (access.Security, access.Lanes);
        var sessions = new DestinationSessions(node, access.Limits.Incoming);
        var capacity = new NodeCapacity(node.Name, node.Guests, sessions);
        LaneOptions options = new LaneOptions { MaxConnections = access.Limits.Connections }.WithSilence(node.Timeouts.Link);
        LaneListener listener = Bind(
            () => new LaneListener(lanes, options, sessions.ServeLane, node.LaneLogger, () => security.IncomingLanes), lanes);
        RequestMeter? requests = node.Meter is { } meter ? new RequestMeter(meter) : null;
        try
        {
            listener.Start();
            var transport = new TransportService(sessions, Advertised(listener.LocalEndPoint), security, capacity);
            var health = new NodeHealth(node.Name, listener.ProbeAsync);
            Door control = await Door.ServeCallsAsync(logging, Limited, Transport.Descriptor, Serve, Map, requests).ConfigureAwait(false);
            return new PeerDoor(sessions, capacity, health, listener, control);

            void Serve(IServiceCollection services) =>
                services.AddSingleton(transport)
                    .AddSingleton(new HealthService(health.CheckAsync, Transport.Descriptor, TimeProvider.System));

            void Map(IEndpointRouteBuilder routes) => routes.MapGrpcService<TransportService>();
        }
        catch
        {
            listener.Dispose();
            throw;
        }

        void Limited(KestrelServerOptions kestrel)
        {
            kestrel.Limits.MaxConcurrentConnections = access.Limits.Connections;
            access.Listen(kestrel);
        }
    }

    public async ValueTask DisposeAsync()
    {
        lanes.Dispose();
        await control.DisposeAsync().ConfigureAwait(false);
    }

    private static LaneListener Bind(Func<LaneListener> listener, IPEndPoint lanes)
    {
        try
        {
            return listener();
        }
        catch (SocketException error)
        {
            throw new IOException(
                $"listen on {lanes} for lanes: {error.Message}; stop what listens there, or choose another --lanes", error);
        }
    }

    // An address that means "any" is of no use to a peer; told none, it takes the host that it has dialled.
    private static string Advertised(IPEndPoint lanes) =>
        lanes.Address.Equals(IPAddress.Any) || lanes.Address.Equals(IPAddress.IPv6Any) ? $":{lanes.Port}" : lanes.ToString();
}

/// <summary>What other daemons, and strangers who pretend to be one, can make this daemon hold.</summary>
/// <param name="Connections">Connections that each of the two listeners serves at a time.</param>
/// <param name="Incoming">Guests on their way in at a time; each has a machine, staging and two threads before it has memory.</param>
internal sealed record PeerLimits(int Connections, int Incoming);

/// <summary>Where other daemons come in, and which of them may.</summary>
/// <param name="Listen">Adds the control listener to a Kestrel, with TLS as <paramref name="Security"/> wants it.</param>
/// <param name="Lanes">Where lanes come in.</param>
/// <param name="Limits">What others can make this daemon hold.</param>
/// <param name="Security">Who may send guests.</param>
internal sealed record PeerAccess(Action<KestrelServerOptions> Listen, IPEndPoint Lanes, PeerLimits Limits, PeerSecurity Security);
