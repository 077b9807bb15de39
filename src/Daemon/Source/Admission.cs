using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source;

/// <summary>
/// Waits until one migration may go on: for its turn on this node, and for the destination to have room for one more guest on its way.
/// </summary>
internal sealed class Admission(
    MigrationQueue queue, IDestination destination, TimeSpan patience, MigrationRecord record, TimeProvider time) : IDisposable
{
    // A destination that is full is asked again after so long, and then less and less often.
    private static readonly TimeSpan ShortestRest = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(5);

    private readonly long _ticket = queue.TakeTicket();
    private MigrationTurn? _turn;

    /// <summary>
    /// Asks the destination to make everything ready, <paramref name="again"/> after a lost link, when it is this migration's turn and
    /// there is room. Then the migration begins, for this reason.
    /// </summary>
    /// <exception cref="Refusal">The destination refuses, or had no room for too long.</exception>
    public async Task<PrepareResponse> PrepareAsync(PrepareRequest request, bool again, string reason, CancellationToken cancellationToken)
    {
        // Not from the beginning: what it waited for its turn here is no time of the destination's.
        long busySince = 0;
        for (TimeSpan rest = ShortestRest; ; rest = rest * 2 < LongestRest ? rest * 2 : LongestRest)
        {
            await AcquireTurnAsync(reason, cancellationToken).ConfigureAwait(false);
            PrepareResponse answer = await destination.PrepareAsync(request, again, cancellationToken).ConfigureAwait(false);
            if (answer.Busy.Length == 0)
            {
                return answer;
            }

            busySince = busySince == 0 ? time.GetTimestamp() : busySince;
            string why = $"the destination {destination.Address} takes no more guests at the moment: {answer.Busy}";
            if (time.GetElapsedTime(busySince) >= patience)
            {
                throw new Refusal(
                    Because.Busy, $"{why}. It was asked for {patience.TotalSeconds:0.#} s ({DaemonOptionKey.QueueTimeout.Flag})");
            }

            // Migrations to elsewhere need not wait for that; this one has its place again when it comes back.
            Leave();
            record.Enter(MigrationState.Setup, $"{why}. It is asked again");
            await Task.Delay(rest * (0.5 + (Random.Shared.NextDouble() / 2)), time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Lets others have their turn.</summary>
    public void Leave()
    {
        _turn?.Dispose();
        _turn = null;
    }

    public void Dispose() => Leave();

    private async Task AcquireTurnAsync(string reason, CancellationToken cancellationToken)
    {
        if (_turn is not null)
        {
            return;
        }

        MigrationTurn turn = _turn = queue.Join(_ticket);
        while (!turn.WhenCome.IsCompleted)
        {
            Task changed = queue.Changed;
            if (queue.PlaceOf(turn) is { Place: > 0 } queued)
            {
                record.Enter(
                    MigrationState.Setup,
                    $"number {queued.Place} in the queue of this node: {queued.UnderWay} of at most {queue.Limit} migrations are under way "
                    + $"({DaemonOptionKey.MaxOutgoing.Flag})");
            }

            await Task.WhenAny(turn.WhenCome, changed).WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        await turn.WhenCome.ConfigureAwait(false);
        record.Begin(reason);
    }
}
