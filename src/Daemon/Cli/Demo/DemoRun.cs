using System.Diagnostics;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>
/// One demo: two daemons on loopback, a guest on the first, its migration to the second, and a look at it there. Nothing in here is
/// special to the demo: the daemons are real processes, and everything goes through their control sockets.
/// </summary>
internal sealed class DemoRun(GuestSpec spec, MigrateRequest plan, DemoView view)
{
    private static readonly TimeSpan SweepDeadline = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan MigrationDeadline = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>What the demo has seen; complete when <see cref="RunAsync"/> has returned.</summary>
    public DemoEvidence Evidence { get; private set; } = new() { Spec = spec };

    /// <summary>Runs the demo. A failure is part of the evidence; both daemons are gone when this returns.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was asked for.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var daemonEnded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        DemoScratch? scratch = null;
        var daemons = new List<DemoDaemon>();
        try
        {
            scratch = DemoScratch.Create();
            foreach (var name in new[] { "source", "destination" })
            {
                var daemon = DemoDaemon.Start(name, scratch);
                daemons.Add(daemon);
                daemon.WhenExited(() => Cancel(daemonEnded));
            }

            await MigrateAsync(daemons[0], daemons[1], daemonEnded.Token);
        }
        catch (Exception error) when (error is DemoException or CliException or OperationCanceledException or IOException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Evidence = Evidence with { Failure = await ExplainAsync(daemons, error) };
        }
        finally
        {
            await Task.WhenAll(daemons.Select(daemon => daemon.DisposeAsync().AsTask()));
            scratch?.Dispose();
        }
    }

    private async Task MigrateAsync(DemoDaemon source, DemoDaemon destination, CancellationToken cancellationToken)
    {
        var (from, to) = (await source.ReadyAsync(cancellationToken), await destination.ReadyAsync(cancellationToken));
        view.Say($"two daemons run: {source.Name} is process {from.ProcessId} at {from.Listen}, "
            + $"{destination.Name} is process {to.ProcessId} at {to.Listen}");

        var guest = await source.Client.CreateGuestAsync(spec, cancellationToken);
        view.Say($"guest {spec.Name} runs on {source.Name}: {Words.Of(spec.Kind)}, {new ByteSize((long)spec.MemoryBytes)}, "
            + $"{spec.Vcpus} vCPUs, working set {new ByteSize((long)spec.WorkingSetBytes)}, {Words.Of(spec.Pattern)}");

        view.Say("waiting until it has written every page of its working set once");
        guest = await SweptAsync(source, sweeps: 1, cancellationToken);
        Evidence = Evidence with { Before = guest.Report };

        view.Say($"migrating it to {destination.Name} at {to.Listen}");
        var migration = await source.Client.MigrateAsync(new MigrateRequest(plan) { To = to.Listen }, cancellationToken);
        Evidence = Evidence with { Migration = migration };
        migration = await FollowAsync(source, migration.Id, cancellationToken);
        Evidence = Evidence with { Migration = migration };
        if (migration.State != MigrationState.Completed)
        {
            throw new DemoException($"the migration is {Words.Of(migration.State)}: {migration.Reason}");
        }

        guest = await destination.Client.GetGuestAsync(spec.Name, cancellationToken);
        Evidence = Evidence with { Arrived = guest.Report ?? new GuestReport(), AtDestination = guest };
        view.Say($"waiting until it has gone over every page again on {destination.Name}");
        guest = await SweptAsync(destination, Evidence.Arrived.Sweeps + DemoVerdict.SweepsOnDestination, cancellationToken);
        Evidence = Evidence with
        {
            AtDestination = guest,
            AtSource = await source.Client.GetGuestAsync(spec.Name, cancellationToken),
        };
    }

    /// <summary>Follows the migration to its final state, within the deadline.</summary>
    private async Task<Migration> FollowAsync(DemoDaemon source, string id, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(MigrationDeadline);
        try
        {
            return await view.FollowAsync(source.Client.WatchMigrationAsync(id, deadline.Token));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new DemoException(source.WithLog($"the migration has not ended after {MigrationDeadline.TotalMinutes:0} minutes"));
        }
    }

    /// <summary>The guest once it has swept its working set this often since it was created.</summary>
    private async Task<Protocol.V1.Guest> SweptAsync(DemoDaemon daemon, ulong sweeps, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var guest = await daemon.Client.GetGuestAsync(spec.Name, cancellationToken);
            var report = guest.Report ?? new GuestReport();
            if (guest.State != GuestState.Running)
            {
                throw new DemoException($"on {daemon.Name} the guest is {Words.Of(guest.State)}, not running: "
                    + (guest.Failure.Length > 0 ? guest.Failure : "nobody says why"));
            }

            if (report.Sweeps >= sweeps)
            {
                return guest;
            }

            if (clock.Elapsed > SweepDeadline)
            {
                throw new DemoException($"on {daemon.Name} the guest has made {report.Sweeps} of {sweeps} sweeps after "
                    + $"{SweepDeadline.TotalMinutes:0} minutes ({report.Steps} steps); try a smaller --working-set");
            }

            await Task.Delay(PollInterval, cancellationToken);
        }
    }

    /// <summary>When a daemon has ended that is the reason, whatever it looked like from here.</summary>
    private static async Task<string> ExplainAsync(IEnumerable<DemoDaemon> daemons, Exception error)
    {
        foreach (var daemon in daemons)
        {
            if (await daemon.ExitAsync() is { } exit && error is not DemoException)
            {
                return exit;
            }
        }

        return error.Message;
    }

    private static void Cancel(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The demo is over, and ended the daemon itself.
        }
    }
}
