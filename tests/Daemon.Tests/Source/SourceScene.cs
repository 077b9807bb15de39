using System.Collections.Concurrent;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>
/// One guest that runs, on a node without a network, and its migration: a test scripts guest and destination, and is the clock.
/// </summary>
public abstract class SourceScene : IDisposable
{
    private protected static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly Lazy<(SourceMigration Migration, MigrationRecord Record)> _begun;

    private protected SourceScene()
    {
        Hosted = HostedGuest.Created(Guest, new MemoryStream(), GuestJournal.None);
        Hosted.Resume();
        Destination = new ScriptedDestination("there:1", Calls);
        _begun = new(Begin);
    }

    private protected ManualClock Clock { get; } = new();

    private protected RecordedLog Log { get; } = new();

    /// <summary>What the destination and the lanes were told, in order.</summary>
    private protected ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>What the record said of the migration, in order.</summary>
    private protected ConcurrentQueue<(MigrationState State, string Reason)> Announced { get; } = new();

    private protected CancellationTokenSource Shutdown { get; } = new();

    private protected ScriptedGuest Guest { get; } = new();

    private protected HostedGuest Hosted { get; }

    private protected ScriptedDestination Destination { get; }

    /// <summary>How the guest is to be moved; to be said before <see cref="Migration"/> or <see cref="Record"/> is asked for.</summary>
    private protected MigrationPlan Plan { get; set; } = MigrationPlan.Postcopy("there:1");

    /// <summary>Precopy first, and post-copy for what is left.</summary>
    private protected static MigrationPlan Hybrid { get; } = MigrationPlan.Postcopy("there:1") with { Mode = MigrationMode.Hybrid };

    /// <summary>What the record says of precopy.</summary>
    private protected PrecopyFigures Precopy => Record.Snapshot().Precopy;

    private protected SourceMigration Migration => _begun.Value.Migration;

    private protected MigrationRecord Record => _begun.Value.Record;

    public void Dispose()
    {
        Guest.Memory.Dispose();
        Shutdown.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected static async Task<ISourceLanes?> NeverAsync(CancellationToken cancel)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
        return null;
    }

    private protected bool IsOver() => Record.IsFinal && Calls.Contains("dispose");

    private protected bool IsPaused(string why) =>
        Record.Snapshot() is { State: MigrationState.PostcopyPaused } now && now.Reason.Contains(why, StringComparison.Ordinal);

    /// <summary>The states that were announced after the setup.</summary>
    private protected MigrationState[] States() =>
        [.. Announced.Select(one => one.State).SkipWhile(state => state == MigrationState.Setup)];

    /// <summary>The lanes that are opened first break once the guest runs at the destination, after this has been done.</summary>
    private protected void LoseLanesOnce(Action? before = null)
    {
        bool lost = false;
        Destination.OnComplete = async cancel =>
        {
            if (!lost)
            {
                lost = true;
                before?.Invoke();
                Destination.Lanes.Lose("reset");
                await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
            }
        };
    }

    /// <summary>
    /// The guest writes half of its memory again in each round: too much for an end, and so little that another round pays.
    /// </summary>
    private protected void KeepWriting() => Guest.OnHarvest = into => into.Add(0, Guest.Memory.PageCount / 2);

    /// <summary>Sends a round in ten seconds.</summary>
    private protected long SendAllSlowly()
    {
        Clock.Advance(TimeSpan.FromSeconds(10));
        return Destination.Lanes.SendAll();
    }

    private protected Task RunAsync() => Migration.RunAsync(Shutdown.Token).WaitAsync(Soon);

    /// <summary>Runs it until this is so, while the clock goes on.</summary>
    private protected Task RunAsync(Func<bool> condition)
    {
        _ = Migration.RunAsync(Shutdown.Token);
        return UntilAsync(condition);
    }

    private protected async Task UntilAsync(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(Soon);
        while (!condition())
        {
            // Time passes only while nobody waits for a processor: on a busy machine it would run away from the migration.
            if (ThreadPool.PendingWorkItemCount == 0)
            {
                Clock.Advance(TimeSpan.FromSeconds(1));
            }

            await Task.Delay(1, deadline.Token);
        }
    }

    private (SourceMigration Migration, MigrationRecord Record) Begin()
    {
        var node = new SourceNode(
            "here", new MigrationLog(), new MigrationTimeouts(Soon, Soon, TimeSpan.FromSeconds(300)), PeerSecurity.None,
            new MigrationQueue(1), _ => Destination, Log)
        {
            Time = Clock,
        };
        SourceMigration migration = SourceMigration.Begin(node, Hosted, Plan, out MigrationRecord record);
        record.Entered += () => Announced.Enqueue((record.State, record.Snapshot().Reason));
        return (migration, record);
    }
}
