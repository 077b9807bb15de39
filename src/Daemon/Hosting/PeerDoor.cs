using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Control;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Grpc.Lanes;

namespace MigrationD.Daemon.Hosting;

/// <summary>Where guests come in: the control listener for other daemons, and the lanes.</summary>
internal sealed class PeerDoor : IAsyncDisposable
{
    private readonly LaneListener _lanes;
    private readonly GrpcServer _control;

    private PeerDoor(DestinationSessions sessions, LaneListener lanes, GrpcServer control)
    {
        Sessions = sessions;
        _lanes = lanes;
        _control = control;
    }

    /// <summary>HOST:PORT for control, or what a unix socket is called by its server.</summary>
    public string Listen => _control.Address;

    public DestinationSessions Sessions { get; }

    public IPEndPoint Lanes => _lanes.LocalEndPoint;

    /// <summary>Opens both.</summary>
    /// <exception cref="IOException">An address cannot be had; the message says which and what to do.</exception>
    public static async Task<PeerDoor> OpenAsync(
        Action<KestrelServerOptions> listen, IPEndPoint lanes, GuestRegistry guests, MigrationLog migrations, MigrationTimeouts timeouts,
        ILoggerFactory logging)
    {
        var sessions = new DestinationSessions(guests, migrations, timeouts, logging.CreateLogger("migrationd"));
        var listener = new LaneListener(
            lanes, new LaneOptions().WithSilence(timeouts.Link), sessions.ServeLane, logging.CreateLogger("migrationd.lanes"));
        try
        {
            Start(listener, lanes);
            var transport = new TransportService(sessions, Advertised(listener.LocalEndPoint));
            return new PeerDoor(sessions, listener, await GrpcServer.StartAsync(logging, listen, transport.Map).ConfigureAwait(false));
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _lanes.Dispose();
        await _control.DisposeAsync().ConfigureAwait(false);
    }

    private static void Start(LaneListener listener, IPEndPoint lanes)
    {
        try
        {
            listener.Start();
        }
        catch (SocketException error)
        {
            throw new IOException(
                $"listen on {lanes} for lanes: {error.Message}; stop what listens there, or choose another --lanes", error);
        }
    }

    /// <summary>An address that means "any" is of no use to a peer; told none, it takes the host that it has dialled.</summary>
    private static string Advertised(IPEndPoint lanes) =>
        lanes.Address.Equals(IPAddress.Any) || lanes.Address.Equals(IPAddress.IPv6Any) ? $":{lanes.Port}" : lanes.ToString();
}
