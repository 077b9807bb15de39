using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Guests;

/// <summary>
/// A guest of this node: the operator's commands and the migration engines meet here, and only one of them holds the guest at a time.
/// Carries out what <see cref="LeaseMachine"/> says.
/// </summary>
internal sealed partial class HostedGuest
{
    private readonly Lock _lock = new();
    private readonly IDisposable? _memoryShare;
    private readonly GuestJournal _journal;
    private readonly HostedConsole _console;
    private IGuest? _guest;
    private HugePageRestorer? _restorer;
    private GuestReport _lastReport;
    private Hold _hold;
    private Journey _journey = Journey.None;
    private Loss? _loss;
    private int _readers;
    private volatile bool _heldBack;

    private HostedGuest(IGuest guest, IDisposable memoryShare, GuestJournal journal)
    {
        Spec = guest.Spec;
        _guest = guest;
        _memoryShare = memoryShare;
        _journal = journal;
        _console = new HostedConsole(guest.Console);
    }

    private HostedGuest(JournalEntry left)
    {
        Spec = left.Spec;
        Left = left;
        _journal = GuestJournal.None;
        _console = new HostedConsole(null);
        _hold = Hold.Ended;
        _journey = new Journey(left.Migration ?? "", left.Peer ?? "");
        _loss = new Loss(left.Explain());
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

    /// <summary>A guest that was created here; paused.</summary>
    public static HostedGuest Created(IGuest guest, IDisposable memoryShare, GuestJournal journal) => new(guest, memoryShare, journal);

    /// <summary>A guest that is to come from another node.</summary>
    public static HostedGuest Coming(IGuest guest, IDisposable memoryShare, GuestJournal journal, string migrationId, string source) =>
        new(guest, memoryShare, journal) { _hold = Hold.Incoming, _journey = new Journey(migrationId, source), CameBy = migrationId };

    /// <summary>A guest that ended with a daemon before this one.</summary>
    public static HostedGuest LeftBehind(JournalEntry left) => new(left);

    /// <summary>Takes an engine's step. One that the hold does not allow for is a mistake of this program's, and changes nothing.</summary>
    private void Step(HoldEvent happened) => _hold = LeaseMachine.Next(_hold, happened)
        ?? throw new InvalidOperationException($"{happened} cannot happen to guest '{Name}', which is {_hold} on this node");

    /// <summary>Finds the hold that an operator's order leads to.</summary>
    /// <exception cref="Refusal">NotNow: somebody else has the guest in hand.</exception>
    private Hold Allowed(string command, HoldEvent order)
    {
        if (_readers == 0 && LeaseMachine.Next(_hold, order) is { } next)
        {
            return next;
        }

        string why = _hold switch
        {
            _ when _readers > 0 => "its memory is being read by another command; try again when that has ended",
            Hold.Outgoing => $"migration {_journey.Migration} is moving it away; wait for its end: "
                + $"migrationd migration watch {_journey.Migration}",
            Hold.Away => $"it was migrated away by migration {_journey.Migration}, and its pages are kept here until "
                + $"they are all there; see: migrationd migration show {_journey.Migration}",
            Hold.Gone => $"it was migrated away by migration {_journey.Migration}; ask the node it went to",
            Hold.Arriving => $"pages of it are still on the source of migration {_journey.Migration}; wait until that is completed",
            Hold.Ended => _loss!.Reason,
            Hold.Deleting => "it is being deleted",
            Hold.Deleted => "it was deleted",
            _ when _loss is { } loss => $"pages of it were lost in migration {_journey.Migration}: {loss.Reason}",
            _ => $"migration {_journey.Migration} is bringing it and it does not run here yet; wait for its end",
        };
        throw new Refusal(Because.NotNow, $"{command} guest '{Name}': {why}");
    }

    /// <summary>Frees everything here that the guest was made of, if anything is left of that.</summary>
    private void Free()
    {
        if (_guest is not { } guest)
        {
            return;
        }

        _guest = null;
        if (_hold == Hold.Gone)
        {
            _console.DropRing();
        }
        else
        {
            _lastReport = guest.Report();
        }

        // The machine first: it must not run over memory that is gone.
        guest.Dispose();
        _restorer?.Dispose();
        guest.Memory.Dispose();
        _memoryShare?.Dispose();
    }

    private Task<string?> Record(JournalState state, JournalEntry? former = null) => _journal.Record(new JournalEntry(
        Spec, state, DateTimeOffset.UtcNow, _journey.Migration.Length == 0 ? null : _journey.Migration,
        _journey.Migration.Length == 0 ? null : _journey.Peer, Former: former));
}

/// <summary>The migration that holds a guest, or took it away.</summary>
/// <param name="Migration">Its id; empty when there is none.</param>
/// <param name="Peer">The node at its other end.</param>
internal readonly record struct Journey(string Migration, string Peer)
{
    /// <summary>No migration.</summary>
    public static Journey None { get; } = new("", "");
}

/// <summary>What is left of a guest that pages were lost of, or that ended with a daemon before this one.</summary>
internal sealed class Loss(string reason, ReceivedPages? received = null, Func<Task>? forget = null)
{
    /// <summary>What happened, for those who ask about the guest.</summary>
    public string Reason => reason;

    /// <summary>Which of its pages are here; null when nothing is.</summary>
    public ReceivedPages? Received => received;

    /// <summary>Deletes the guest; ends when nothing of it is left.</summary>
    /// <exception cref="Refusal">NotNow: its source is back, and the guest goes on.</exception>
    public Task ForgetAsync() => forget?.Invoke() ?? Task.CompletedTask;
}
