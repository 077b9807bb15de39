using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Control;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source;
using MigrationD.Guest.Scheduling;
using MigrationD.Protocol.Session;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting;

/// <summary>A running daemon: the guests of this node and the doors to them, one for operators and one for other daemons.</summary>
internal sealed class DaemonHost : IAsyncDisposable
{
    private readonly DaemonOptions _options;
    private readonly ILoggerFactory _logging;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _shutdown = new();
    private readonly GuestRegistry _guests;
    private readonly MigrationLog _migrations = new();
    private readonly SourceMigrations _outgoing;
    private readonly MigrationTimeouts _timeouts;
    private PeerDoor? _peers;
    private ControlSocket? _socket;
    private GrpcServer? _control;

    private DaemonHost(DaemonOptions options, ILoggerFactory logging)
    {
        _options = options;
        _logging = logging;
        _logger = logging.CreateLogger("migrationd");
        _guests = new GuestRegistry(new MemoryBudget(options.GuestMemory));
        _timeouts = new MigrationTimeouts(options.LinkTimeout, options.SwitchoverTimeout, options.RecoveryTimeout);
        _outgoing = new SourceMigrations(options.Node, _migrations, _timeouts, _logger);
    }

    /// <summary>Serves until <paramref name="stop"/>, then ends in order; 0 when it did.</summary>
    /// <exception cref="IOException">An address or the control socket cannot be had; the message says which and what to do.</exception>
    public static async Task<int> RunAsync(DaemonOptions options, CancellationToken stop)
    {
        // Before anything starts a thread: they inherit it. Guests step back by themselves.
        _ = ThreadRank.TryRaiseToControl();
        using ILoggerFactory logging = DaemonLogging.Create(options);
        FaultInjection.CheckAtStart(logging.CreateLogger("migrationd"));
        await using var host = new DaemonHost(options, logging);
        await host.StartAsync().ConfigureAwait(false);
        // A rehearsal goes through the same steps, and the fault is meant for a migration.
        Task rehearsal = FaultInjection.IsOn ? Task.CompletedTask : Rehearsal.RunAsync();
        await Task.Delay(Timeout.InfiniteTimeSpan, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        DaemonLog.Stopping(host._logger, options.Node);
        await rehearsal.ConfigureAwait(false);
        await host.FinishMigrationsAsync().ConfigureAwait(false);
        return 0;
    }

    /// <summary>Closes the doors, then ends what is left of the guests.</summary>
    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync().ConfigureAwait(false);
        foreach (IAsyncDisposable? door in (IAsyncDisposable?[])[_peers, _control])
        {
            if (door is not null)
            {
                await door.DisposeAsync().ConfigureAwait(false);
            }
        }

        _socket?.Dispose();
        foreach (HostedGuest guest in _guests.All().Where(guest => !guest.IsGone))
        {
            // Its memory is this process's: it ends with the process whatever is done here.
            DaemonLog.GuestEndsWithDaemon(_logger, guest.Name);
        }

        _shutdown.Dispose();
    }

    /// <summary>
    /// Takes no new migration, lets those to this node that have not run here go back to their sources, and waits for all others: until then
    /// a guest's memory is in two places.
    /// </summary>
    private async Task FinishMigrationsAsync()
    {
        using var deadline = new CancellationTokenSource(_options.StopTimeout);
        await Task.WhenAll(_outgoing.FinishAsync(deadline.Token), _peers!.Sessions.FinishAsync(deadline.Token)).ConfigureAwait(false);
        foreach (MigrationRecord record in _migrations.All().Where(record => !record.IsFinal))
        {
            DaemonLog.MigrationEndsWithDaemon(_logger, record.Id, record.Guest, record.State.ToString());
        }
    }

    private async Task StartAsync()
    {
        _peers = await OpenPeerDoorAsync().ConfigureAwait(false);
        var node = new Node
        {
            Name = _options.Node,
            Version = DaemonVersion.Text,
            Listen = _peers.Listen,
            Lanes = _peers.Lanes.ToString(),
            ProcessId = Environment.ProcessId,
            ProtocolVersions = { ProtocolVersion.Accepted },
        };
        _socket = ControlSocket.Claim(_options.ControlPath);
        var control = new ControlService(node, _guests, _migrations, _outgoing, _peers.Sessions, _logger, _shutdown.Token);
        _control = await GrpcServer.StartAsync(_logging, kestrel => kestrel.ListenUnixSocket(_socket.Path), control.Map)
            .ConfigureAwait(false);
        _socket.Protect();
        DaemonLog.Serving(_logger, node.Name, _socket.Path, node.Listen, node.Lanes, _options.GuestMemory);
    }

    private async Task<PeerDoor> OpenPeerDoorAsync()
    {
        try
        {
            return await PeerDoor.OpenAsync(
                kestrel => kestrel.Listen(_options.Listen), _options.Lanes, _guests, _migrations, _timeouts,
                new PeerLimits(_options.MaxConnections, _options.MaxIncoming), _logging).ConfigureAwait(false);
        }
        catch (IOException error) when (error.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            throw new IOException(
                $"listen on {_options.Listen}: {error.GetBaseException().Message}; stop what listens there, or choose another --listen",
                error);
        }
    }
}
