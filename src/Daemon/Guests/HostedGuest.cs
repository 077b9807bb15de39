using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;
using GuestReport = MigrationD.Guest.GuestReport;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Guests;

/// <summary>
/// A guest of this node: the operator's commands and the migration engines meet here, and only one of them holds the guest at a time.
/// </summary>
internal sealed class HostedGuest
{
    private readonly Lock _lock = new();
    private readonly IDisposable? _memoryShare;
    private readonly GuestJournal _journal;
    private IGuest? _guest;
    private HugePageRestorer? _restorer;
    private GuestReport _lastReport;
    private Hold _hold;
    private string _migrationId = "";
    private string _peer = "";
    private string _lossReason = "";
    private Action? _forgetLost;
    private ReceivedPages? _received;
    private int _readers;
    private readonly bool _hasConsole;
    private ConsoleRing? _console;
    private long _consoleAtSwitchover;
    private IConsoleElsewhere? _elsewhere;
    private CancellationTokenSource _returned = new();
    private bool _forgotten;
    private bool _heldBack;

    private HostedGuest(IGuest guest, IDisposable memoryShare, GuestJournal journal)
    {
        Spec = guest.Spec;
        _guest = guest;
        _memoryShare = memoryShare;
        _journal = journal;
        _console = guest.Console;
        _hasConsole = _console is not null;
    }

    private HostedGuest(JournalEntry left)
    {
        Spec = left.Spec;
        Left = left;
        _journal = GuestJournal.None;
        _hold = Hold.Ended;
        _migrationId = left.Migration ?? "";
        _lossReason = left.Explain();
    }

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

    public GuestSpec Spec { get; }

    public string Name => Spec.Name;

    /// <summary>The migration that brought it; null when it was created here.</summary>
    public string? CameBy { get; private init; }

    /// <summary>What is known of a guest that ended with a daemon before this one; null for every other.</summary>
    public JournalEntry? Left { get; }

    /// <summary>
    /// The one that ended with a daemon before this one, and whose name this guest has until it runs here or is not coming.
    /// </summary>
    public HostedGuest? Former { get; private set; }

    /// <summary>Whether something of it is in this process.</summary>
    public bool IsHere
    {
        get
        {
            lock (_lock)
            {
                return _guest is not null;
            }
        }
    }

    /// <summary>Whether nobody wants to know of it any more.</summary>
    public bool IsForgotten
    {
        get
        {
            lock (_lock)
            {
                return _forgotten;
            }
        }
    }

    /// <summary>Whether only the record of a guest that has gone elsewhere is left, so that its name is free.</summary>
    public bool IsGone
    {
        get
        {
            lock (_lock)
            {
                return _hold == Hold.Away && _guest is null;
            }
        }
    }

    /// <summary>A guest that was created here; paused.</summary>
    public static HostedGuest Created(IGuest guest, IDisposable memoryShare, GuestJournal journal) => new(guest, memoryShare, journal);

    /// <summary>A guest that is to come from another node.</summary>
    public static HostedGuest Coming(IGuest guest, IDisposable memoryShare, GuestJournal journal, string migrationId, string source) =>
        new(guest, memoryShare, journal) { _hold = Hold.Incoming, _migrationId = migrationId, _peer = source, CameBy = migrationId };

    /// <summary>A guest that ended with a daemon before this one.</summary>
    public static HostedGuest LeftBehind(JournalEntry left) => new(left);

    // ---- what operators do

    public void Pause() => Command("pause", [Hold.None, Hold.Arriving], guest => guest.Pause());

    public void Resume() => Command("resume", [Hold.None, Hold.Arriving], guest =>
    {
        if (guest.Failure is { } failure)
        {
            throw new Refusal(
                Because.NotNow, $"resume guest '{Name}': it cannot go on: {failure}. Delete it and create it again.");
        }

        guest.Resume();
    });

    /// <summary>The memory of a paused guest whose pages are all here. Held until it is let go of.</summary>
    public StillMemory HoldWhole(string command) => HoldStill(command, [Hold.None]);

    /// <summary>The memory of a paused guest whose pages are all here, or of a lost one as far as it is here. Held until it is let go of.</summary>
    public StillMemory HoldWhatIsHere(string command) => HoldStill(command, [Hold.None, Hold.Lost]);

    /// <summary>Ends the guest and frees its memory, or drops the record of one that has gone elsewhere.</summary>
    public void Delete()
    {
        Action? forgetLost = null;
        lock (_lock)
        {
            if (_hold == Hold.Lost)
            {
                Refuse("delete", [Hold.Lost]);
                forgetLost = _forgetLost;
                // Nobody may begin to read it any more.
                _received = null;
            }
        }

        if (forgetLost is not null)
        {
            // Its memory is the session's, whose threads may need this lock on their way out.
            forgetLost();
            return;
        }

        lock (_lock)
        {
            if (_hold != Hold.Ended && (_hold != Hold.Away || _guest is not null))
            {
                Refuse("delete", [Hold.None]);
                Free();
                return;
            }

            _forgotten = true;
        }

        // Not under the lock: who reads the console from elsewhere ends on this thread.
        _returned.Cancel();
    }

    // ---- what the source's engine does

    /// <summary>Takes the guest for a migration away from here; nobody else may touch it until the engine says so.</summary>
    /// <param name="migrationId">The migration.</param>
    /// <param name="to">Where it goes.</param>
    /// <param name="noted">Ends when the journal says so, for good or not.</param>
    public IGuest TakeForMigration(string migrationId, string to, out Task noted)
    {
        lock (_lock)
        {
            Refuse("migrate", [Hold.None]);
            IGuest guest = _guest!;
            if (guest.Failure is { } failure)
            {
                throw new Refusal(Because.NotNow, $"migrate guest '{Name}': it cannot go on: {failure}");
            }

            _hold = Hold.Outgoing;
            _migrationId = migrationId;
            _peer = to;
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
            // One that runs again has done so before it ran.
            _guest?.Claim();
            _hold = Hold.None;
            _migrationId = "";
            _elsewhere = null;
            Note(JournalState.Here);
            returned = _returned;
            _returned = new CancellationTokenSource();
        }

        returned.Cancel();
    }

    /// <summary>From here on the guest is the destination's. Its memory stays for as long as pages are missing there.</summary>
    /// <param name="elsewhere">Where its console is to be read from now on.</param>
    public void GiveAway(IConsoleElsewhere elsewhere)
    {
        lock (_lock)
        {
            _guest!.Release();
            _elsewhere = elsewhere;
            _consoleAtSwitchover = _console?.Written ?? 0;
            _lastReport = _guest.Report();
            _hold = Hold.Away;
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
            _peer = address;
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
            Free();
            return forgotten;
        }
    }

    // ---- what the destination's engine does

    /// <summary>The guest is this node's now; its pages still come.</summary>
    public void Arrive(bool run)
    {
        lock (_lock)
        {
            _hold = Hold.Arriving;
            _guest!.Claim();
            if (run)
            {
                _guest.Resume();
            }

            Former = null;
            // Once it runs: its downtime is over.
            Note(JournalState.Arriving);
        }
    }

    /// <summary>It is prepared for, and has taken the name of <paramref name="former"/> if that is not null.</summary>
    public void Expect(HostedGuest? former)
    {
        lock (_lock)
        {
            Former = former;
            Note(JournalState.Expected, former?.Left);
        }
    }

    /// <summary>
    /// Pages are lost with the source: those in <paramref name="received"/> are left. From now on <paramref name="forget"/> is what deleting
    /// the guest means.
    /// </summary>
    public void Lose(string reason, ReceivedPages received, Action forget)
    {
        lock (_lock)
        {
            _hold = Hold.Lost;
            _received = received;
            _lossReason = reason;
            _forgetLost = forget;
        }
    }

    /// <summary>The source is back after all.</summary>
    public void Revive()
    {
        lock (_lock)
        {
            _hold = Hold.Arriving;
            _lossReason = "";
            _received = null;
            _forgetLost = null;
        }
    }

    /// <summary>
    /// Every page has come; huge pages that came in pieces are put together again meanwhile. The task ends when the journal says so.
    /// </summary>
    public Task SettleAsync(Func<HugePageRestorer> restore)
    {
        lock (_lock)
        {
            _restorer = restore();
            _hold = Hold.None;
            _migrationId = "";
            return GuestJournal.SoonAsync(Note(JournalState.Here));
        }
    }

    /// <summary>The guest never ran here and is not coming, or is lost and deleted; whoever mapped its memory unmaps it.</summary>
    public void ForgetIncoming()
    {
        lock (_lock)
        {
            _guest?.Dispose();
            _guest = null;
        }
    }

    /// <summary>Gives the memory back to the node's budget, after it has been unmapped.</summary>
    public void ReturnMemoryShare() => _memoryShare?.Dispose();

    // ---- what everybody sees

    /// <summary>Where its console is to be read now.</summary>
    /// <exception cref="Refusal">NotNow: it has none.</exception>
    public ConsolePlace FindConsole()
    {
        if (_hold == Hold.Ended)
        {
            throw new Refusal(Because.NotNow, $"console of guest '{Name}': {_lossReason}");
        }

        if (!_hasConsole)
        {
            throw new Refusal(
                Because.NotNow,
                $"console of guest '{Name}': a guest of this kind has no serial port; what it reports of itself: "
                + $"migrationd guest show {Name}");
        }

        lock (_lock)
        {
            string? failure = _forgotten || (_guest is null && _hold != Hold.Away)
                ? $"guest '{Name}' was deleted"
                : _guest?.Failure is { } why ? $"guest '{Name}' cannot go on: {why}" : null;
            return new ConsolePlace(
                _console, _consoleAtSwitchover, _forgotten ? null : _elsewhere, _migrationId, failure, _hold == Hold.Incoming,
                _returned.Token);
        }
    }

    public GuestMessage Snapshot()
    {
        lock (_lock)
        {
            GuestReport report = _guest?.Report() ?? _lastReport;
            return new GuestMessage
            {
                Spec = GuestMessages.ToMessage(Spec),
                State = State(),
                Report = GuestMessages.ToMessage(_hold == Hold.Away ? _lastReport : report),
                Failure = _hold is Hold.Lost or Hold.Ended ? _lossReason : _guest?.Failure ?? "",
                MigrationId = _migrationId,
            };
        }
    }

    private GuestState State() => _hold switch
    {
        Hold.Away => GuestState.Migrated,
        Hold.Incoming => GuestState.Incoming,
        Hold.Lost or Hold.Ended => GuestState.Failed,
        _ when _guest?.Failure is not null => GuestState.Failed,
        _ => _heldBack || _guest is { IsRunning: true } ? GuestState.Running : GuestState.Paused,
    };

    private StillMemory HoldStill(string command, ReadOnlySpan<Hold> allowed)
    {
        lock (_lock)
        {
            Refuse(command, allowed);
            if (_hold == Hold.Lost)
            {
                ReceivedPages received = _received ?? throw new Refusal(
                    Because.NotNow, $"{command} guest '{Name}': it is being deleted");
                _readers++;
                return new StillMemory(
                    _guest!.Memory, received, () => _received == received, LetGo);
            }

            if (_guest!.IsRunning)
            {
                throw new Refusal(
                    Because.NotNow,
                    $"{command} guest '{Name}': it runs, so its memory changes under the reading. Pause it first: "
                    + $"migrationd guest pause {Name}");
            }

            // Held, not locked: reading takes long, and others want to look at the guest meanwhile.
            _readers++;
            return new StillMemory(_guest.Memory, null, () => true, LetGo);
        }
    }

    private void LetGo()
    {
        lock (_lock)
        {
            _readers--;
        }
    }

    private void Command(string command, ReadOnlySpan<Hold> allowed, Action<IGuest> act)
    {
        lock (_lock)
        {
            Refuse(command, allowed);
            act(_guest!);
        }
    }

    private void Refuse(string command, ReadOnlySpan<Hold> allowed)
    {
        if (_guest is not null && _readers == 0 && allowed.Contains(_hold))
        {
            return;
        }

        string why = _hold switch
        {
            _ when _readers > 0 => "its memory is being read by another command; try again when that has ended",
            Hold.Outgoing => $"migration {_migrationId} is moving it away; wait for its end: migrationd migration watch {_migrationId}",
            Hold.Ended => _lossReason,
            Hold.Lost => $"pages of it were lost in migration {_migrationId}: {_lossReason}",
            Hold.Away when _guest is not null => $"it was migrated away by migration {_migrationId}, and its pages are kept here until "
                + $"they are all there; see: migrationd migration show {_migrationId}",
            Hold.Away => $"it was migrated away by migration {_migrationId}; ask the node it went to",
            Hold.Incoming => $"migration {_migrationId} is bringing it and it does not run here yet; wait for its end",
            Hold.Arriving => $"pages of it are still on the source of migration {_migrationId}; wait until that is completed",
            _ => "it was deleted",
        };
        throw new Refusal(Because.NotNow, $"{command} guest '{Name}': {why}");
    }

    private void Free()
    {
        if (_guest is not { } guest)
        {
            return;
        }

        _lastReport = _hold == Hold.Away ? _lastReport : guest.Report();
        _guest = null;
        // Who has the guest has its console as well.
        _console = _hold == Hold.Away ? null : _console;
        // The machine first: it must not run over memory that is gone.
        guest.Dispose();
        _restorer?.Dispose();
        guest.Memory.Dispose();
        _memoryShare?.Dispose();
    }

    private Task<string?> Note(JournalState state, JournalEntry? former = null) => _journal.Note(new JournalEntry(
        Spec, state, DateTimeOffset.UtcNow, _migrationId.Length == 0 ? null : _migrationId, _migrationId.Length == 0 ? null : _peer,
        Former: former));
}
