using System.Runtime.CompilerServices;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Source;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Draining;

/// <summary>
/// Empties this node for as long as somebody asks for it, one at a time. From the first on the node takes no guests in, until it is told
/// to: a host that was emptied to be worked on must not fill up again behind the operator's back. Guests go to <paramref name="peers"/>
/// when a request names nobody; by <paramref name="instance"/> this daemon knows its own capacity among theirs.
/// </summary>
internal sealed class Drains(
    SourceNode node, GuestRegistry guests, SourceMigrations outgoing, IReadOnlyList<string> peers, string instance,
    CancellationToken shutdown)
{
    private const int MostParallel = 100;
    private const int DefaultParallel = 2;

    // A drain whose caller has gone a moment ago is over by then.
    private static readonly TimeSpan PatienceForTheOneBefore = TimeSpan.FromSeconds(2);

    private readonly SemaphoreSlim _one = new(1);
    private readonly Lock _lock = new();
    private TaskCompletionSource<Refusal> _stop = NewStop();

    /// <summary>Drains the node for as long as the enumeration goes on.</summary>
    /// <exception cref="Refusal">
    /// Invalid; NotNow: there are no peers, or another drain is under way; Gone: the node was undrained, or stops.
    /// </exception>
    public async IAsyncEnumerable<DrainUpdate> RunAsync(DrainRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        IReadOnlyList<string> to = Destinations(request);
        int parallel = request.Parallel == 0 ? DefaultParallel : (int)Math.Min(request.Parallel, MostParallel);
        MigrationPlan plan = MigrationPlan.Of(request.Plan ?? new MigrateRequest());
        if (!await _one.WaitAsync(PatienceForTheOneBefore, cancellationToken).ConfigureAwait(false))
        {
            throw new Refusal(
                Because.NotNow,
                "another drain of this node is under way; wait for its end, or end it with Ctrl-C where it runs, or with "
                + "'migrationd undrain'");
        }

        try
        {
            TaskCompletionSource<Refusal> stop = Close();
            DaemonLog.DrainBegan(node.Logger, node.Name, string.Join(", ", to));
            using PeerSurvey survey = new(to, instance, plan.NeededVersion, node.Timeouts.Link, node.Security, node.Time);
            using CancellationTokenRegistration stopping = shutdown.Register(() => stop.TrySetResult(Stopping()));
            var drain = new NodeDrain(
                guests, node.Migrations, survey, (guest, peer) => Begin(stop, guest, plan with { To = peer }), parallel, stop.Task,
                node.Time);
            await foreach (DrainUpdate update in drain.RunAsync(cancellationToken).ConfigureAwait(false))
            {
                yield return update;
            }
        }
        finally
        {
            DaemonLog.DrainEnded(node.Logger, node.Name);
            _one.Release();
        }
    }

    /// <summary>Takes guests in again, and begins no migration of a drain any more.</summary>
    public void Undrain()
    {
        lock (_lock)
        {
            _stop.TrySetResult(new Refusal(
                Because.Gone, "the node was undrained; migrations that had begun go on: migrationd migration list"));
            guests.Open();
        }

        DaemonLog.Undrained(node.Logger, node.Name);
    }

    private static Refusal Stopping() =>
        new(Because.Gone, "this daemon is stopping; it waits for the migrations under way, and begins none");

    private static TaskCompletionSource<Refusal> NewStop() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private TaskCompletionSource<Refusal> Close()
    {
        lock (_lock)
        {
            guests.Close();
            return _stop = NewStop();
        }
    }

    private MigrationRecord? Begin(TaskCompletionSource<Refusal> stop, HostedGuest guest, MigrationPlan plan)
    {
        lock (_lock)
        {
            try
            {
                return stop.Task.IsCompleted ? null : outgoing.Begin(guest, plan, shutdown);
            }
            catch (Refusal stopping) when (stopping.Why == Because.Unreachable)
            {
                stop.TrySetResult(Stopping());
                return null;
            }
        }
    }

    private IReadOnlyList<string> Destinations(DrainRequest request)
    {
        foreach (string address in request.To)
        {
            DestinationAddress.Check("drain", address);
        }

        return request.To.Count > 0 ? request.To : peers.Count > 0 ? peers : throw new Refusal(
            Because.NotNow,
            $"drain: nothing says where guests go; give the daemon peers ({DaemonOptionKey.Peers.Flag}), or name destinations with --to");
    }
}
