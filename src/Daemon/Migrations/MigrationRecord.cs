using System.Diagnostics;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Migrations;

/// <summary>
/// What is known of one migration on this node, while it runs and after. Engines write it, operators read it; readers get a copy.
/// </summary>
internal sealed class MigrationRecord
{
    private readonly Lock _lock = new();
    private long _started = Stopwatch.GetTimestamp();
    private readonly Migration _message;
    private TransferRate _rate;
    private Func<LiveFigures>? _live;
    private Func<RamMap>? _liveMap;
    private RamMap? _lastMap;
    private TimeSpan? _total;
    private long _pagesLost;
    private long _precopyBegan;
    private volatile TaskCompletionSource _changed = NewSignal();

    public MigrationRecord(string id, string guest, MigrationRole role, string peer, MigrationMode mode, long pagesTotal)
    {
        Id = id;
        Guest = guest;
        _rate = new TransferRate(_started);
        Role = role;
        _message = new Migration
        {
            Id = id,
            Guest = guest,
            Role = role,
            Peer = peer,
            // Sources that know no other mode do not name it.
            Mode = mode == MigrationMode.Unspecified ? MigrationMode.Postcopy : mode,
            State = MigrationState.Setup,
            StartedUnixUs = UnixNow(),
            PagesTotal = (ulong)pagesTotal,
        };
    }

    /// <summary>Raised after each change of state, on the thread that made it.</summary>
    public event Action? Entered;

    public string Id { get; }

    public string Guest { get; }

    public MigrationRole Role { get; }

    /// <summary>A task that ends at the next change of state.</summary>
    public Task Changed => _changed.Task;

    public MigrationState State
    {
        get
        {
            lock (_lock)
            {
                return _message.State;
            }
        }
    }

    public bool IsFinal => IsFinalState(State);

    public static bool IsFinalState(MigrationState state) =>
        state is MigrationState.Completed or MigrationState.Failed or MigrationState.Cancelled;

    /// <summary>Enters a state. A final state stays, unless the migration goes on: see <see cref="Revive"/>.</summary>
    public void Enter(MigrationState state, string reason = "")
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            if (IsFinalState(_message.State))
            {
                return;
            }

            CopyLiveFigures();
            if ((state is MigrationState.Device or MigrationState.PrecopyActive) && !_message.HasSetupUs)
            {
                _message.SetupUs = MicrosecondsSince(_started);
            }

            if (state == MigrationState.PrecopyActive)
            {
                // After a lost link it begins anew, and its time goes on.
                _precopyBegan = _precopyBegan == 0 ? Stopwatch.GetTimestamp() : _precopyBegan;
                _message.Precopy ??= new PrecopyFigures();
            }
            else if (state == MigrationState.Device)
            {
                CountPrecopy();
                _precopyBegan = 0;
            }

            _message.State = state;
            _message.Reason = reason;
            _message.PagesLost = state == MigrationState.Failed ? (ulong)Math.Max(0, _pagesLost) : 0;
            if (IsFinalState(state))
            {
                _total ??= Stopwatch.GetElapsedTime(_started);
                _lastMap = _liveMap?.Invoke();
                _live = null;
                _liveMap = null;
            }

            changed = _changed;
            _changed = NewSignal();
        }

        changed.SetResult();
        Entered?.Invoke();
    }

    /// <summary>Begins the migration when its turn has come: the wait for that is no time of the migration.</summary>
    public void Begin(string reason)
    {
        lock (_lock)
        {
            if (_message.BytesSent == 0)
            {
                _started = Stopwatch.GetTimestamp();
                _message.StartedUnixUs = UnixNow();
                _rate = new TransferRate(_started);
            }
        }

        Enter(State, reason);
    }

    /// <summary>Counts the pages that are lost; said when the migration fails.</summary>
    public void SetPagesLost(long pages)
    {
        lock (_lock)
        {
            _pagesLost = pages;
        }
    }

    /// <summary>Lets a migration that had been given up go on after all.</summary>
    public void Revive(Func<LiveFigures> live, Func<RamMap> map)
    {
        lock (_lock)
        {
            _message.State = MigrationState.PostcopyPaused;
            _live = live;
            _liveMap = map;
            _total = null;
            _pagesLost = 0;
        }

        Entered?.Invoke();
    }

    /// <summary>
    /// Says where figures that change all the time come from, until the final state is entered, and the map of the guest's memory.
    /// </summary>
    public void ReadFrom(Func<LiveFigures> live, Func<RamMap> map)
    {
        lock (_lock)
        {
            _live = live;
            _liveMap = map;
        }
    }

    /// <summary>Says how far the guest's memory has come; null before there is any to tell of, and when that has been forgotten.</summary>
    public RamMap? Map()
    {
        lock (_lock)
        {
            return _liveMap?.Invoke() ?? _lastMap;
        }
    }

    /// <summary>Drops the map of a migration that has ended.</summary>
    public void ForgetMap()
    {
        lock (_lock)
        {
            _lastMap = null;
        }
    }

    /// <summary>Changes what is known of the migration, but for its state.</summary>
    public void Change(Action<Migration> change)
    {
        lock (_lock)
        {
            change(_message);
        }
    }

    /// <summary>Counts what has been sent until now as sent during the downtime: the guest runs on the destination from now on.</summary>
    public void MarkSwitchover()
    {
        lock (_lock)
        {
            CopyLiveFigures();
            _message.DowntimeBytes = _message.BytesSent - (_message.Precopy?.Bytes ?? 0);
        }
    }

    /// <summary>Ends the migration's time: the work is done, and what follows before the final state is cleaning up.</summary>
    public void StopClock()
    {
        lock (_lock)
        {
            _total ??= Stopwatch.GetElapsedTime(_started);
        }
    }

    public Migration Snapshot()
    {
        lock (_lock)
        {
            CopyLiveFigures();
            if (!IsFinalState(_message.State))
            {
                CountPrecopy();
            }

            Migration copy = _message.Clone();
            TimeSpan total = _total ?? Stopwatch.GetElapsedTime(_started);
            copy.TotalUs = (ulong)total.TotalMicroseconds;
            if (_total is not null)
            {
                _rate.Conclude((long)copy.BytesSent, (long)copy.PagesReceived, total);
            }
            else
            {
                _rate.Observe((long)copy.BytesSent, (long)copy.PagesReceived, Stopwatch.GetTimestamp());
            }

            copy.BytesPerSecond = _rate.BytesPerSecond;
            copy.PagesPerSecond = _rate.PagesPerSecond;
            return copy;
        }
    }

    private static long UnixNow() => (DateTime.UtcNow - DateTime.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static ulong MicrosecondsSince(long start) => (ulong)Stopwatch.GetElapsedTime(start).TotalMicroseconds;

    private void CountPrecopy()
    {
        if (_precopyBegan != 0 && _message.Precopy is { } precopy)
        {
            precopy.Bytes = _message.BytesSent;
            precopy.TimeUs = MicrosecondsSince(_precopyBegan);
        }
    }

    private void CopyLiveFigures()
    {
        if (_live?.Invoke() is { } figures)
        {
            _message.BytesSent = (ulong)figures.LaneBytes;
            _message.PagesReceived = (ulong)figures.PagesReceived;
            _message.Placement = figures.Placement;
            _message.ReleasedBytes = (ulong)figures.Released;
            _message.Compression = figures.Compression;
        }
    }
}

/// <summary>Figures of a migration that change all the time.</summary>
/// <param name="LaneBytes">Bytes on all lanes from the source to the destination, framing included.</param>
/// <param name="PagesReceived">Pages that the destination holds, as far as this side knows.</param>
/// <param name="Placement">What the destination counted, as far as this side knows.</param>
/// <param name="Released">Bytes of guest memory that the source has given back to its host.</param>
/// <param name="Compression">What packing has come to; null where nothing is packed.</param>
internal readonly record struct LiveFigures(
    long LaneBytes, long PagesReceived, PlacementCounters? Placement, long Released = 0, CompressionFigures? Compression = null);
