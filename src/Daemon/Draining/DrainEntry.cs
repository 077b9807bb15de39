using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Daemon.Draining;

/// <summary>One guest of a node that is drained: where it stands, and what was tried with it.</summary>
internal sealed class DrainEntry
{
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);
    private MigrationRecord? _lastFailed;
    private bool _isHere;

    /// <summary>A guest that was just found.</summary>
    public DrainEntry(HostedGuest guest) => Guest = guest;

    public HostedGuest Guest { get; }

    public DrainState State { get; private set; } = DrainState.Waiting;

    /// <summary>Why it waits, stayed or is gone.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>The migration that moves it, or moved it; null when none does.</summary>
    public MigrationRecord? Migration { get; private set; }

    /// <summary>Before then no migration of it is begun again.</summary>
    public DateTime NotBefore { get; private set; }

    /// <summary>Why its migration could not even be begun; null when that is not so.</summary>
    public string? NotNow { get; private set; }

    public bool IsFinal => State is DrainState.Moved or DrainState.Stayed or DrainState.Gone;

    /// <summary>Whether a migration of it can be begun as far as is known: it is this node's alone.</summary>
    public bool CanBegin => State == DrainState.Waiting && _isHere;

    /// <summary>Whether its migration takes time and bandwidth; one whose link is lost does not.</summary>
    public bool IsUnderWay => State == DrainState.Moving
        && Migration is { State: not (MigrationState.PostcopyPaused or MigrationState.PostcopyRecover) };

    /// <summary>Whether its destination may not have taken its memory into account yet.</summary>
    public bool IsUnaccounted => State == DrainState.Moving && Migration is { State: MigrationState.Setup };

    public DrainCandidate Candidate => new(Guest.Name, Guest.Spec.Kind, Guest.Spec.MemoryBytes, _refusals);

    /// <summary>Where its migration goes to, in the words of whoever asked for it.</summary>
    public string Peer { get; private set; } = "";

    /// <summary>Looks at the guest and its migration anew.</summary>
    /// <returns>Whether it stands elsewhere than before.</returns>
    public bool Look(MigrationLog migrations)
    {
        DrainState before = State;
        bool failed = NoteEnd();
        if (!IsFinal)
        {
            // After the migration's end, which is announced when the guest is back.
            GuestMessage guest = Guest.Snapshot();
            migrations.TryFind(guest.MigrationId, out MigrationRecord? record);
            Note(guest, record);
        }

        return failed || State != before;
    }

    /// <summary>It is not among the node's guests any more.</summary>
    public void NoteDeleted()
    {
        NoteEnd();
        if (!IsFinal)
        {
            Enter(DrainState.Gone, "it was deleted");
        }
    }

    /// <summary>Its migration has begun.</summary>
    public void NoteBegun(MigrationRecord record)
    {
        NotNow = null;
        Follow(record);
    }

    /// <summary>Its migration could not be begun; it may be later.</summary>
    public void NoteNotNow(string why, DateTime notBefore)
    {
        NotNow = why;
        NotBefore = notBefore;
        Reason = why;
    }

    /// <summary>It waits for this.</summary>
    public void WaitFor(string reason) => Reason = reason;

    /// <summary>Nothing more is tried with it.</summary>
    public void Stay(string reason) => Enter(DrainState.Stayed, reason);

    public DrainGuest Snapshot() => new()
    {
        Name = Guest.Name,
        MemoryBytes = (ulong)Guest.Spec.MemoryBytes,
        State = State,
        Reason = Reason,
        Migration = (Migration ?? _lastFailed)?.Snapshot(),
    };

    private void Note(GuestMessage guest, MigrationRecord? record)
    {
        bool wasKnown = _isHere || Migration is not null;
        _isHere = false;
        switch (record)
        {
            case { IsFinal: false, Role: MigrationRole.Source }:
                Follow(record);
                return;
            case { IsFinal: false }:
                WaitFor($"it is still on its way in, in migration {record.Id} from {record.Snapshot().Peer}");
                return;
        }

        switch (guest.State)
        {
            case GuestState.Incoming:
                WaitFor("it is still on its way in");
                break;
            case GuestState.Failed when Guest.Left is not null:
                Enter(DrainState.Gone, guest.Failure);
                break;
            case GuestState.Failed:
                Stay($"it cannot go on, and cannot be moved: {guest.Failure}");
                break;
            case GuestState.Migrated when record is null or { State: MigrationState.Completed }:
                Migration = wasKnown ? record : null;
                Enter(
                    Migration is null ? DrainState.Gone : DrainState.Moved,
                    Migration is null ? $"it was moved away before, by migration {guest.MigrationId}; only its record is here" : "");
                break;
            case GuestState.Migrated:
                // Its migration has just come to another end; the next look finds the guest as it is then.
                break;
            default:
                _isHere = true;
                break;
        }
    }

    /// <summary>Whether the migration that was followed has failed, so that another peer's turn comes.</summary>
    private bool NoteEnd()
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

    private void Follow(MigrationRecord record)
    {
        Migration = record;
        Peer = record.Snapshot().Peer;
        _isHere = false;
        Enter(DrainState.Moving, "");
    }

    private void Enter(DrainState state, string reason)
    {
        State = state;
        Reason = reason;
    }
}
