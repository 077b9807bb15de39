using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc;
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
    private readonly IDisposable _memoryShare;
    private IGuest? _guest;
    private HugePageRestorer? _restorer;
    private GuestReport _lastReport;
    private Hold _hold;
    private string _migrationId = "";
    private string _lossReason = "";
    private ReceivedPages? _pagesLeft;
    private Action? _forgetLost;

    private HostedGuest(GuestSpec spec, IGuest guest, IDisposable memoryShare)
    {
        Spec = spec;
        _guest = guest;
        _memoryShare = memoryShare;
    }

    public GuestSpec Spec { get; }

    public string Name => Spec.Name;

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
    public static HostedGuest Created(IGuest guest, IDisposable memoryShare) => new(guest.Spec, guest, memoryShare);

    /// <summary>A guest that is to come from another node.</summary>
    public static HostedGuest Coming(IGuest guest, IDisposable memoryShare, string migrationId) =>
        new(guest.Spec, guest, memoryShare) { _hold = Hold.Incoming, _migrationId = migrationId };

    // ---- what operators do

    public void Pause() => Command("pause", [Hold.None, Hold.Arriving], guest => guest.Pause());

    public void Resume() => Command("resume", [Hold.None, Hold.Arriving], guest =>
    {
        if (guest.Failure is { } failure)
        {
            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition, $"resume guest '{Name}': it cannot go on: {failure}. Delete it and create it again.");
        }

        guest.Resume();
    });

    /// <summary>
    /// Holds a paused guest whose pages are all here, for its memory to be read. Held, not locked: reading takes long, and others want to
    /// look at the guest meanwhile.
    /// </summary>
    public HeldMemory HoldMemory(string command) => HoldMemory(command, [Hold.None]);

    /// <summary>The same, or what is here of a guest that lost pages.</summary>
    public HeldMemory HoldWhatIsHere(string command) => HoldMemory(command, [Hold.None, Hold.Lost]);

    /// <summary>Ends the guest and frees its memory, or drops the record of one that has gone elsewhere.</summary>
    public void Delete()
    {
        Action? forgetLost = null;
        lock (_lock)
        {
            if (_hold == Hold.Lost)
            {
                forgetLost = _forgetLost;
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
            if (_hold == Hold.Away && _guest is null)
            {
                return;
            }

            Refuse("delete", [Hold.None]);
            Free();
        }
    }

    // ---- what the source's engine does

    /// <summary>Takes the guest for a migration away from here; nobody else may touch it until the engine says so.</summary>
    public IGuest TakeForMigration(string migrationId)
    {
        lock (_lock)
        {
            Refuse("migrate", [Hold.None]);
            IGuest guest = _guest!;
            if (guest.Failure is { } failure)
            {
                throw new GrpcException(GrpcStatusCode.FailedPrecondition, $"migrate guest '{Name}': it cannot go on: {failure}");
            }

            _hold = Hold.Outgoing;
            _migrationId = migrationId;
            return guest;
        }
    }

    /// <summary>The migration did not happen: the guest is this node's alone again.</summary>
    public void Return()
    {
        lock (_lock)
        {
            _hold = Hold.None;
            _migrationId = "";
        }
    }

    /// <summary>From here on the guest is the destination's. Its memory stays for as long as pages are missing there.</summary>
    public void GiveAway()
    {
        lock (_lock)
        {
            _lastReport = _guest!.Report();
            _hold = Hold.Away;
        }
    }

    /// <summary>Frees the memory of a guest whose pages are all elsewhere. Nothing reads it any more.</summary>
    public void FreeAway()
    {
        lock (_lock)
        {
            Free();
        }
    }

    // ---- what the destination's engine does

    /// <summary>The guest is this node's now; its pages still come.</summary>
    public void Arrive(bool run)
    {
        lock (_lock)
        {
            _hold = Hold.Arriving;
            if (run)
            {
                _guest!.Resume();
            }
        }
    }

    /// <summary>
    /// Pages are lost with the source; <paramref name="left"/> are not, and from now on <paramref name="forget"/> is what deleting means.
    /// </summary>
    public void Lose(string reason, ReceivedPages left, Action forget)
    {
        lock (_lock)
        {
            _hold = Hold.Lost;
            _lossReason = reason;
            _pagesLeft = left;
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
            _pagesLeft = null;
            _forgetLost = null;
        }
    }

    /// <summary>Every page has come; huge pages that came in pieces are put together again meanwhile.</summary>
    public void Settle(Func<HugePageRestorer> restore)
    {
        lock (_lock)
        {
            _restorer = restore();
            _hold = Hold.None;
            _migrationId = "";
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
    public void ReturnMemoryShare() => _memoryShare.Dispose();

    // ---- what everybody sees

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
                Failure = _lossReason.Length > 0 ? _lossReason : _guest?.Failure ?? "",
                MigrationId = _migrationId,
            };
        }
    }

    private GuestState State() => _hold switch
    {
        Hold.Away => GuestState.Migrated,
        Hold.Incoming => GuestState.Incoming,
        _ when _lossReason.Length > 0 => GuestState.Failed,
        _ when _guest?.Failure is not null => GuestState.Failed,
        _ => _guest is { IsRunning: true } ? GuestState.Running : GuestState.Paused,
    };

    private HeldMemory HoldMemory(string command, ReadOnlySpan<Hold> allowed)
    {
        HeldMemory? held = null;
        Command(command, allowed, guest =>
        {
            if (guest.IsRunning && _hold != Hold.Lost)
            {
                throw new GrpcException(
                    GrpcStatusCode.FailedPrecondition,
                    $"{command} guest '{Name}': it runs, so its memory changes under the reading. Pause it first: "
                    + $"migrationd guest pause {Name}");
            }

            Hold before = _hold;
            _hold = Hold.Reading;
            held = new HeldMemory(guest.Memory, _pagesLeft, () =>
            {
                lock (_lock)
                {
                    // A lost guest may have been revived meanwhile.
                    _hold = _hold == Hold.Reading ? before : _hold;
                }
            });
        });
        return held!;
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
        if (_guest is not null && allowed.Contains(_hold))
        {
            return;
        }

        string why = _hold switch
        {
            Hold.Reading => "its memory is being read by another command; try again when that has ended",
            Hold.Outgoing => $"migration {_migrationId} is moving it away; wait for its end: migrationd migration watch {_migrationId}",
            Hold.Lost => $"pages of it were lost in migration {_migrationId}: {_lossReason}",
            Hold.Away => $"it was migrated away by migration {_migrationId}; ask the node it went to",
            Hold.Incoming => $"migration {_migrationId} is bringing it and it does not run here yet; wait for its end",
            Hold.Arriving => $"pages of it are still on the source of migration {_migrationId}; wait until that is completed",
            _ => "it was deleted",
        };
        throw new GrpcException(GrpcStatusCode.FailedPrecondition, $"{command} guest '{Name}': {why}");
    }

    private void Free()
    {
        if (_guest is not { } guest)
        {
            return;
        }

        _lastReport = _hold == Hold.Away ? _lastReport : guest.Report();
        _guest = null;
        // The machine first: it must not run over memory that is gone.
        guest.Dispose();
        _restorer?.Dispose();
        guest.Memory.Dispose();
        _memoryShare.Dispose();
    }
}
