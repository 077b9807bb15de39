using MigrationD.Guest.Memory;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Guests;

/// <content>What the destination's engine does with a guest.</content>
internal sealed partial class HostedGuest
{
    /// <summary>Records that the guest is prepared for, and has taken the name of <paramref name="former"/> if that is not null.</summary>
    public void Expect(HostedGuest? former)
    {
        lock (_lock)
        {
            Former = former;
            Record(JournalState.Expected, former?.Left);
        }
    }

    /// <summary>Makes the guest this node's, while its pages still come.</summary>
    public void Arrive(bool run)
    {
        lock (_lock)
        {
            Step(HoldEvent.Arrived);
            _guest!.Claim();
            if (run)
            {
                _guest.Resume();
            }

            Former = null;
            // Once it runs: its downtime is over.
            Record(JournalState.Arriving);
        }
    }

    /// <summary>Gives the guest up: pages of it are lost with the source.</summary>
    public void Lose(Loss loss)
    {
        lock (_lock)
        {
            Step(HoldEvent.PagesLost);
            _loss = loss;
        }
    }

    /// <summary>Lets a lost guest go on, as its source is back after all.</summary>
    public void Revive()
    {
        lock (_lock)
        {
            Step(HoldEvent.Revived);
            _loss = null;
        }
    }

    /// <summary>
    /// Makes the guest this node's alone: every page has come, and huge pages that came in pieces are put together again meanwhile. The
    /// task ends when the journal says so.
    /// </summary>
    public Task SettleAsync(Func<HugePageRestorer> restore)
    {
        lock (_lock)
        {
            _restorer = restore();
            Step(HoldEvent.Settled);
            _journey = Journey.None;
            return GuestJournal.SoonAsync(Record(JournalState.Here));
        }
    }

    /// <summary>Drops a guest that never ran here and is not coming, or is lost and deleted; who mapped its memory unmaps that.</summary>
    public void ForgetIncoming()
    {
        lock (_lock)
        {
            Step(HoldEvent.Discarded);
            _guest?.Dispose();
            _guest = null;
        }
    }

    /// <summary>Gives the memory back to the node's budget, after it has been unmapped.</summary>
    public void ReturnMemoryShare() => _memoryShare?.Dispose();
}
