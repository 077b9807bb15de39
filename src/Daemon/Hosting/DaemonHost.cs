using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Hosting.Doors;
using MigrationD.Daemon.Hosting.Systemd;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Services;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Daemon.Web;
using MigrationD.Guest.Threads;
using MigrationD.Protocol.Messages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Hosting;

/// <summary>A running daemon: the guests of this node and the doors to them: for operators, for other daemons, and for readers.</summary>
internal sealed class DaemonHost : IAsyncDisposable
{
    private readonly DaemonOptions _options;
    private readonly ILoggerFactory _logging;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _shutdown = new();
    private readonly GuestJournal _journal;
    private readonly GuestRegistry _guests;
    private readonly DaemonMeter _meter;
    private readonly MigrationLog _migrations;
    private readonly SourceNode _source;
    private readonly SourceMigrations _outgoing;
    private readonly MigrationTimeouts _timeouts;
    private readonly PeerSecurity _security;
    private readonly MigrationQueue _queue;
    private volatile IReadOnlyList<DaemonOptionValue> _values;
    private volatile Node? _node;
    private PeerDoor? _peers;
    private MetricsExport? _export;
    private Door? _readers;
    private ControlSocket? _socket;
    private ControlCallers? _callers;
    private Door? _control;

    private DaemonHost(DaemonOptions options, ILoggerFactory logging)
    {
        _options = options;
        _logging = logging;
        _logger = logging.CreateLogger("migrationd");
        _journal = GuestJournal.Open(options.State, _logger);
        var budget = new MemoryBudget(options.GuestMemory);
        _guests = new GuestRegistry(budget, _journal, _logger);
        _meter = new DaemonMeter(options.Node, _guests, budget);
        _migrations = new MigrationLog(_meter.Migrations.Add);
        _timeouts = new MigrationTimeouts(options.LinkTimeout, options.SwitchoverTimeout, options.RecoveryTimeout)
        {
            Queue = options.QueueTimeout,
        };
        _security = PeerSecurity.Of(options);
        _queue = new MigrationQueue(options.MaxOutgoing);
        _values = options.Values;
        _source = new SourceNode(
            options.Node, _migrations, _timeouts, _security, _queue,
            to => new DestinationClient(to, _timeouts, _security, _logger, TimeProvider.System), _logger);
        _outgoing = new SourceMigrations(_source);
    }

    /// <summary>Serves until <paramref name="cancellationToken"/> fires, then ends in order; 0 when it did.</summary>
    /// <param name="options">What to serve, and how.</param>
    /// <param name="reload">Reads anew, on SIGHUP: certificates, lists of names, and how many guests may be on their way.</param>
    /// <param name="cancellationToken">Ends the daemon.</param>
    /// <exception cref="IOException">An address or the control socket cannot be had; the message says which and what to do.</exception>
    public static async Task<int> RunAsync(DaemonOptions options, Func<DaemonOptions> reload, CancellationToken cancellationToken)
    {
        // Threads inherit the rank, so none is started before. Guests step back by themselves.
        _ = ThreadRank.TryRaiseToControl();
        _ = OpenFilesLimit.TryRaise();
        using ILoggerFactory logging = DaemonLogging.Create(options);
        FaultInjection.CheckAtStart(logging.CreateLogger("migrationd"));
        await using var host = new DaemonHost(options, logging);
        await host.StartAsync().ConfigureAwait(false);
        await using var service = new ServiceNotifier(
            new NotifySocket(host._logger), Environment.GetEnvironmentVariable, host.Describe,
            new ControlSocketProbe(options.ControlPath).AskAsync, host._logger);
        using PosixSignalRegistration hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true;
            service.Reloading();
            host.Reload(reload);
            service.Ready();
        });
        service.Ready();
        // A rehearsal goes through the same steps, and the fault is meant for a migration.
        Task rehearsal = FaultInjection.IsOn
            ? Task.CompletedTask
            : Rehearsal.RunAsync(Path.GetDirectoryName(Path.GetFullPath(options.ControlPath))!);
        await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        DaemonLog.Stopping(host._logger, options.Node);
        service.Stopping(options.StopTimeout);
        await rehearsal.ConfigureAwait(false);
        await host.FinishMigrationsAsync().ConfigureAwait(false);
        return 0;
    }

    /// <summary>Closes the doors, then ends what is left of the guests.</summary>
    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync().ConfigureAwait(false);
        foreach (IAsyncDisposable? door in (IAsyncDisposable?[])[_peers, _readers, _control])
        {
            if (door is not null)
            {
                await door.DisposeAsync().ConfigureAwait(false);
            }
        }

        _socket?.Dispose();
        foreach (HostedGuest guest in _guests.All().Where(guest => guest.IsHere))
        {
            // The guest's memory is this process's: it ends with the process whatever is done here.
            DaemonLog.GuestEndsWithDaemon(_logger, guest.Name);
        }

        _journal.Dispose();
        _export?.Dispose();
        _meter.Dispose();
        _shutdown.Dispose();
    }

    /// <summary>
    /// Takes no new migration, lets those to this node that have not run here go back to their sources, and waits for all others: until
    /// then a guest's memory is in two places.
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

    /// <summary>Takes over what can change while the daemon runs; what is wrong with it is said, and changes nothing.</summary>
    private void Reload(Func<DaemonOptions> reload)
    {
        try
        {
            DaemonOptions options = reload();
            if (!_security.TryReload(options))
            {
                DaemonLog.ReloadRefused(
                    _logger, $"{DaemonOptionKey.Tls.Flag} cannot be switched on or off while the daemon runs; restart it");
                return;
            }

            _queue.Limit = options.MaxOutgoing;
            _peers!.Sessions.Limit = options.MaxIncoming;
            DaemonOptionKey[] taken = [DaemonOptionKey.MaxOutgoing, DaemonOptionKey.MaxIncoming];
            _values = [.. _values.Select(value => taken.Contains(value.Key) ? options.Values.First(one => one.Key == value.Key) : value)];
            // What else is different now is in force after the next start, and 'config show' goes on saying what is.
            DaemonLog.Reloaded(_logger, _security.ExpiresAt);
        }
        catch (DaemonOptionsException error)
        {
            DaemonLog.ReloadRefused(_logger, error.Message);
        }
    }

    private async Task StartAsync()
    {
        _peers = await OpenPeerDoorAsync().ConfigureAwait(false);
        if (_options.Web is not null || _options.Otlp is not null)
        {
            _export = MetricsExport.Begin(_meter, _options.Node, _options.Web is not null, _options.Otlp, _logger);
        }

        _readers = _options.Web is { } web ? await OpenReaderDoorAsync(web, _export!).ConfigureAwait(false) : null;
        var node = new Node
        {
            Name = _options.Node,
            Version = DaemonVersion.Text,
            Listen = _peers.Listen,
            Lanes = _peers.Lanes.ToString(),
            Web = _readers?.Address ?? "",
            ProcessId = Environment.ProcessId,
            ProtocolVersions = { ProtocolVersion.Accepted },
        };
        _node = node;
        _socket = ControlSocket.Claim(_options.ControlPath);
        _callers = ControlCallers.Of(_options.ControlGroup);
        var drains = new Drains(_source, _guests, _outgoing, _options.Peers, _peers.Capacity.Instance, _shutdown.Token);
        var control = new ControlService(
            new OperatedNode(node, _peers.Health, Config, _guests, _migrations), new NodeEngines(_outgoing, _peers.Sessions, drains),
            _logger, _shutdown.Token);
        _control = await Door.ServeCallsAsync(
            _logging, kestrel => kestrel.ListenUnixSocket(_socket.Path, AdmitOperators), Control.Descriptor,
            services => services.AddSingleton(control)
                .AddSingleton(new HealthService(_peers.Health.CheckAsync, Control.Descriptor, TimeProvider.System)),
            routes => routes.MapGrpcService<ControlService>(), new RequestMeter(_meter)).ConfigureAwait(false);
        _socket.Protect(_options.ControlGroup);
        DaemonLog.Serving(_logger, node.Name, _socket.Path, node.Listen, node.Lanes, _options.GuestMemory);
        if (_readers is not null)
        {
            DaemonLog.Readable(_logger, node.Name, node.Web);
        }
    }

    private string Describe() => UnitStatus.Describe(
        _guests.All().Select(guest => guest.Snapshot().State), _migrations.All().Select(record => record.Snapshot()));

    private GetConfigResponse Config() => new()
    {
        Values =
        {
            _values.Select(value => new ConfigValue
            {
                Key = value.Key.Name,
                Value = value.Value,
                Origin = value.Origin.ToString().ToLowerInvariant(),
                OriginDetail = value.OriginDetail ?? "",
            }),
        },
    };

    private Task<PeerDoor> OpenPeerDoorAsync()
    {
        var access = new PeerAccess(
            kestrel => kestrel.Listen(
                _options.Listen,
                listen => listen.Secure(_security, DaemonOptionKey.Listen, _logging, SslApplicationProtocol.Http2)),
            _options.Lanes, new PeerLimits(_options.MaxConnections, _options.MaxIncoming), _security);
        var node = new DestinationNode(_guests, _migrations, _timeouts)
        {
            Name = _options.Node,
            Logger = _logger,
            LaneLogger = _logging.CreateLogger(DaemonLogging.LanesSource),
            Meter = _meter,
        };
        return OpenAsync(DaemonOptionKey.Listen, _options.Listen, () => PeerDoor.OpenAsync(access, node, _logging));
    }

    private Task<Door> OpenReaderDoorAsync(IPEndPoint web, MetricsExport export) => OpenAsync(DaemonOptionKey.Web, web, () =>
        ReaderDoor.OpenAsync(
            web, _options.MaxConnections, _security,
            routes =>
            {
                export.Map(routes);
                new WebPage(() => _node, _guests, _migrations).Map(routes);
            },
            new RequestMeter(_meter), _logging));

    /// <summary>Opens a door; when its address is taken the error says so, and which option says another.</summary>
    private static async Task<T> OpenAsync<T>(DaemonOptionKey option, IPEndPoint address, Func<Task<T>> open)
    {
        try
        {
            return await open().ConfigureAwait(false);
        }
        catch (IOException error) when (error.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            throw new IOException(
                $"listen on {address}: {error.GetBaseException().Message}; stop what listens there, or choose another {option.Flag}",
                error);
        }
    }

    /// <summary>Lets operators in, and nobody else.</summary>
    private void AdmitOperators(ListenOptions listen) => listen.Use(next => async connection =>
    {
        Socket socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        if (_callers!.Refuse(socket) is { } who)
        {
            DaemonLog.CallerRefused(_logger, who);
            connection.Abort();
            return;
        }

        await next(connection).ConfigureAwait(false);
    });
}
