using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Daemon.Draining;

/// <summary>One guest of a node that is drained: where it stands, and what was tried with it.</summary>
internal sealed class DrainEntry(HostedGuest guest)
{
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);
    private MigrationRecord? _lastFailed;
    private bool _isHere;
    private string? _notNow;
    private DateTime _notBefore;

    public HostedGuest Guest => guest;

    public DrainState State { get; private set; } = DrainState.Waiting;

    /// <summary>Why it waits, stayed or is gone.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>The migration that moves it, or moved it; null when none does.</summary>
    public MigrationRecord? Migration { get; private set; }

    public bool IsFinal => State is DrainState.Moved or DrainState.Stayed or DrainState.Gone;

    /// <summary>Whether a migration of it can be begun as far as is known: it is this node's alone.</summary>
    public bool CanBegin => State == DrainState.Waiting && _isHere;

    /// <summary>Whether its migration takes time and bandwidth; one whose link is lost does not.</summary>
    public bool IsUnderWay => State == DrainState.Moving
        && Migration is { State: not (MigrationState.PostcopyPaused or MigrationState.PostcopyRecover) };

    /// <summary>Whether its destination may not have taken its memory into account yet.</summary>
    public bool IsUnaccounted => State == DrainState.Moving && Migration is { State: MigrationState.Setup };

    public DrainCandidate Candidate => new(guest.Name, guest.Spec.Kind, guest.Spec.MemoryBytes, _refusals);

    /// <summary>Where its migration goes to, in the words in which that was asked for.</summary>
    public string Peer { get; private set; } = "";

    /// <summary>Looks at the guest and its migration anew; says whether the guest stands elsewhere than before.</summary>
    public bool Look(MigrationLog migrations)
    {
        DrainState before = State;
        bool failed = EnterEnd();
        if (!IsFinal)
        {
            // After the migration's end, which is announced when the guest is back.
            GuestMessage now = guest.Snapshot();
            migrations.TryFind(now.MigrationId, out MigrationRecord? record);
            EnterStateOf(now, record);
        }

        return failed || State != before;
    }

    /// <summary>Enters the end of a guest that is not among the node's guests any more.</summary>
    public void EnterDeleted()
    {
        EnterEnd();
        if (!IsFinal)
        {
            Enter(DrainState.Gone, "it was deleted");
        }
    }

    public void EnterMoving(MigrationRecord record)
    {
        Migration = record;
        Peer = record.Snapshot().Peer;
        _isHere = false;
        Enter(DrainState.Moving, "");
    }

    /// <summary>Why its migration could not be begun a moment ago; null when it may be tried again, whatever the reason was.</summary>
    public string? NotNow(DateTime now) => _notBefore > now ? _notNow : null;

    /// <summary>Puts off a migration that could not be begun, and may be later.</summary>
    public void Postpone(string why, DateTime notBefore)
    {
        _notNow = why;
        _notBefore = notBefore;
        Reason = why;
    }

    public void WaitFor(string reason) => Reason = reason;

    /// <summary>Gives the guest up: nothing more is tried.</summary>
    public void Stay(string reason) => Enter(DrainState.Stayed, reason);

    public DrainGuest Snapshot() => new()
    {
        Name = guest.Name,
        MemoryBytes = (ulong)guest.Spec.MemoryBytes,
        State = State,
        Reason = Reason,
        Migration = (Migration ?? _lastFailed)?.Snapshot(),
    };

    private void EnterStateOf(GuestMessage now, MigrationRecord? record)
    {
        bool wasKnown = _isHere || Migration is not null;
        _isHere = false;
        switch (record)
        {
            case { IsFinal: false, Role: MigrationRole.Source }:
                EnterMoving(record);
                return;
            case { IsFinal: false }:
                WaitFor($"it is still on its way in, in migration {record.Id} from {record.Snapshot().Peer}");
                return;
        }

        switch (now.State)
        {
            case GuestState.Incoming:
                WaitFor("it is still on its way in");
                break;
            case GuestState.Failed when guest.Left is not null:
                Enter(DrainState.Gone, now.Failure);
                break;
            case GuestState.Failed:
                Stay($"it cannot go on, and cannot be moved: {now.Failure}");
                break;
            case GuestState.Migrated when record is null or { State: MigrationState.Completed }:
                Migration = wasKnown ? record : null;
                Enter(
                    Migration is null ? DrainState.Gone : DrainState.Moved,
                    Migration is null ? $"it was moved away before, by migration {now.MigrationId}; only its record is here" : "");
                break;
            case GuestState.Migrated:
                // Its migration has just come to another end; the next look finds the guest as it is then.
                break;
            default:
                _isHere = true;
                break;
        }
    }

    /// <summary>Enters the end of the guest's migration; says whether that has failed, so that another peer's turn comes.</summary>
    private bool EnterEnd()
    {
        if (Migration is not { IsFinal: true } ended)
        {
            return false;
        }

        Migration snapshot = ended.Snapshot();
        switch (snapshot.State)
        {
            case MigrationState.Completed:
                Enter(DrainState.Moved, "");
                return false;
            case MigrationState.Cancelled:
                Stay($"its migration {snapshot.Id} to {snapshot.Peer} was cancelled");
                return false;
            default:
                _refusals[snapshot.Peer] = $"migration {snapshot.Id} failed: {snapshot.Reason}";
                _lastFailed = ended;
                Migration = null;
                Enter(DrainState.Waiting, $"{snapshot.Peer}: {_refusals[snapshot.Peer]}");
                return true;
        }
    }

    private void Enter(DrainState state, string reason)
    {
        State = state;
        Reason = reason;
    }
}
