using System.Collections.Concurrent;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Source;

namespace MigrationD.Daemon.Tests.Draining;

/// <summary>A node with guests that have no machines, from which every migration begins and gets no further than Prepare.</summary>
internal sealed class SilentNode : IDisposable
{
    private readonly CancellationTokenSource _shutdown = new();
    private readonly List<ScriptedGuest> _made = [];

    public SilentNode()
    {
        Guests = new GuestRegistry(new MemoryBudget(1L << 40), GuestJournal.None, Log)
        {
            Make = (spec, memory) =>
            {
                _made.Add(new ScriptedGuest(spec, memory));
                return _made[^1];
            },
        };
        Source = new SourceNode(
            "alpha", Migrations, Timeouts, PeerSecurity.None, new MigrationQueue(100),
            address => Destinations[address] = new ScriptedDestination(address, [])
            {
                OnPrepare = ended => Task.Delay(Timeout.Infinite, ended),
            },
            Log);
        Outgoing = new SourceMigrations(Source);
    }

    public RecordedLog Log { get; } = new();

    public MigrationTimeouts Timeouts { get; } = new(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20));

    public MigrationLog Migrations { get; } = new();

    public GuestRegistry Guests { get; }

    public SourceNode Source { get; }

    public SourceMigrations Outgoing { get; }

    /// <summary>By address, those that migrations went to.</summary>
    public ConcurrentDictionary<string, ScriptedDestination> Destinations { get; } = new(StringComparer.Ordinal);

    /// <summary>The machines of the guests that were created, in order.</summary>
    public IReadOnlyList<ScriptedGuest> Made => _made;

    /// <summary>Fires when the daemon stops.</summary>
    public CancellationToken Shutdown => _shutdown.Token;

    /// <summary>The daemon stops.</summary>
    public void Stop() => _shutdown.Cancel();

    public void Dispose()
    {
        _shutdown.Cancel();
        Outgoing.FinishAsync(CancellationToken.None).GetAwaiter().GetResult();
        _made.ForEach(guest => guest.Memory.Dispose());
        _shutdown.Dispose();
    }
}
