namespace MigrationD.Guest.Dirty;

/// <summary>What is alike in all dirty logs: who may do what, and when.</summary>
internal abstract class DirtyLog(GuestMemory memory) : IDirtyLog
{
    private readonly Lock _gate = new();
    private volatile bool _armed;
    private volatile bool _disposed;

    public bool IsArmed => _armed;

    /// <summary>Whether another log of the guest may be opened.</summary>
    public bool IsDisposed => _disposed;

    protected GuestMemory Memory { get; } = memory;

    /// <exception cref="InvalidOperationException">The guest still has this log: two logs would take each other's pages.</exception>
    public static void ThrowIfOpen(DirtyLog? log, string guest)
    {
        if (log is { IsDisposed: false })
        {
            throw new InvalidOperationException($"guest {guest} has a dirty log already; dispose it before opening another");
        }
    }

    public void Arm()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_armed)
            {
                Begin();
                _armed = true;
            }
        }
    }

    public long Harvest(PageSet into) => Harvest(into, rearm: true);

    public long HarvestLast(PageSet into) => Harvest(into, rearm: false);

    public void Disarm()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_armed)
            {
                End();
                _armed = false;
            }
        }
    }

    /// <summary>Ends logging if it has not ended, and lets the guest have another log.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            if (_armed)
            {
                _armed = false;
                Abandon();
            }
        }
    }

    /// <summary>Protects every page. When it throws it has left nothing behind.</summary>
    protected abstract void Begin();

    /// <summary>Puts what was written into a set and, when wanted, protects it again, in this order.</summary>
    protected abstract long Collect(PageSet into, bool rearm);

    /// <summary>Takes the protection away.</summary>
    protected abstract void End();

    /// <summary>Takes the protection away of a guest that may be gone by now: never throws because it is.</summary>
    protected abstract void Abandon();

    private long Harvest(PageSet into, bool rearm)
    {
        ArgumentNullException.ThrowIfNull(into);
        if (into.PageCount != Memory.PageCount)
        {
            throw new ArgumentException($"the set is of {into.PageCount} pages, the memory has {Memory.PageCount}", nameof(into));
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _armed
                ? Collect(into, rearm)
                : throw new InvalidOperationException("the dirty log is not armed: nobody has logged what was written; arm it first");
        }
    }
}
