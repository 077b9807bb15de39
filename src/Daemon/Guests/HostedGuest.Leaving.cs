using MigrationD.Guest;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Guests;

/// <content>What the source's engine does with a guest.</content>
internal sealed partial class HostedGuest
{
    /// <summary>Whether the source's engine pauses and resumes it all the time: it runs, only less.</summary>
    public bool IsHeldBack
    {
        set => _heldBack = value;
    }

    /// <summary>
    /// Takes the guest for a migration away from here; nobody else may touch it until the engine says so. <paramref name="recorded"/> ends
    /// when the journal says so, for good or not.
    /// </summary>
    /// <exception cref="Refusal">NotNow.</exception>
    public IGuest TakeForMigration(string migrationId, string to, out Task recorded)
    {
        lock (_lock)
        {
            Hold taken = Allowed("migrate", HoldEvent.Taken);
            IGuest guest = _guest!;
            if (guest.Failure is { } failure)
            {
                throw new Refusal(Because.NotNow, $"migrate guest '{Name}': it cannot go on: {failure}");
            }

            _hold = taken;
            _journey = new Journey(migrationId, to);
            recorded = GuestJournal.SoonAsync(Record(JournalState.Leaving));
            return guest;
        }
    }

    /// <summary>Makes the guest this node's alone again: the migration did not happen.</summary>
    public void Return()
    {
        CancellationTokenSource returned;
        lock (_lock)
        {
            Step(HoldEvent.Returned);
            // A guest that runs again has claimed before it ran.
            _guest?.Claim();
            _journey = Journey.None;
            Record(JournalState.Here);
            returned = _console.Return();
        }

        returned.Cancel();
    }

    /// <summary>Makes the guest and its console the destination's. Its memory stays for as long as pages are missing there.</summary>
    public void GiveAway(IConsoleElsewhere elsewhere)
    {
        lock (_lock)
        {
            Step(HoldEvent.GivenAway);
            _guest!.Release();
            _console.GiveAway(elsewhere);
            _lastReport = _guest.Report();
        }
    }

    /// <summary>Records that the destination has said that the guest runs there. After its downtime: nothing waits for this.</summary>
    public void RunsElsewhere()
    {
        lock (_lock)
        {
            Record(JournalState.Away);
        }
    }

    /// <summary>Records that the daemon that the guest has gone to is at another address now.</summary>
    public void MoveTo(string address)
    {
        lock (_lock)
        {
            _journey = _journey with { Peer = address };
            Record(JournalState.Away);
        }
    }

    /// <summary>
    /// Frees the memory of a guest whose pages are all elsewhere. Nothing reads it any more. The task ends when the journal has forgotten
    /// the guest.
    /// </summary>
    public Task FreeAwayAsync()
    {
        lock (_lock)
        {
            // Before the name is free: what is recorded of the next guest that has it must not be forgotten.
            Task forgotten = GuestJournal.SoonAsync(_journal.Remove(Name));
            Step(HoldEvent.Freed);
            Free();
            return forgotten;
        }
    }
}
