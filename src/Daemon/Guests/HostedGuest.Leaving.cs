using MigrationD.Guest;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.Session;

namespace MigrationD.Daemon.Guests;

/// <content>What the source's engine does with it.</content>
internal sealed partial class HostedGuest
{
    /// <summary>Whether the source's engine pauses and resumes it all the time: it runs, only less.</summary>
    public bool IsHeldBack
    {
        set
        {
            lock (_lock)
            {
                _heldBack = value;
            }
        }
    }

    /// <summary>Takes the guest for a migration away from here; nobody else may touch it until the engine says so.</summary>
    /// <param name="migrationId">The migration.</param>
    /// <param name="to">Where it goes.</param>
    /// <param name="noted">Ends when the journal says so, for good or not.</param>
    /// <exception cref="Refusal">NotNow.</exception>
    public IGuest TakeForMigration(string migrationId, string to, out Task noted)
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
            noted = GuestJournal.SoonAsync(Note(JournalState.Leaving));
            return guest;
        }
    }

    /// <summary>The migration did not happen: the guest is this node's alone again.</summary>
    public void Return()
    {
        CancellationTokenSource returned;
        lock (_lock)
        {
            Step(HoldEvent.Returned);
            // One that runs again has done so before it ran.
            _guest?.Claim();
            _journey = Journey.None;
            Note(JournalState.Here);
            returned = _console.Return();
        }

        returned.Cancel();
    }

    /// <summary>From here on the guest is the destination's. Its memory stays for as long as pages are missing there.</summary>
    /// <param name="elsewhere">Where its console is to be read from now on.</param>
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

    /// <summary>The destination has said that the guest runs there. After its downtime: nothing waits for this.</summary>
    public void RunsElsewhere()
    {
        lock (_lock)
        {
            Note(JournalState.Away);
        }
    }

    /// <summary>The daemon that it has gone to is at another address now.</summary>
    public void MovedTo(string address)
    {
        lock (_lock)
        {
            _journey = _journey with { Peer = address };
            Note(JournalState.Away);
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
            // Before the name is free: what is noted of the next guest that has it must not be forgotten.
            Task forgotten = GuestJournal.SoonAsync(_journal.Remove(Name));
            Step(HoldEvent.Freed);
            Free();
            return forgotten;
        }
    }
}
