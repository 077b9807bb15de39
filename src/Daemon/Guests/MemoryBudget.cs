namespace MigrationD.Daemon.Guests;

/// <summary>
/// How much RAM the guests of this node may have together. RAM is mapped without reserving it, so the kernel would let any guest in
/// and kill one later: the refusal has to come from here, before a guest depends on it.
/// </summary>
internal sealed class MemoryBudget(long limit)
{
    private readonly Lock _lock = new();
    private long _used;

    /// <summary>Bytes that all guests may have.</summary>
    public long Limit => limit;

    /// <summary>Bytes that guests have.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>Takes bytes out of the budget until the returned share is disposed; null when they are not free.</summary>
    public IDisposable? TryReserve(long bytes, out long free)
    {
        lock (_lock)
        {
            free = Limit - _used;
            if (bytes > free)
            {
                return null;
            }

            _used += bytes;
            return new Share(this, bytes);
        }
    }

    private sealed class Share(MemoryBudget budget, long bytes) : IDisposable
    {
        private int _returned;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _returned, 1) == 0)
            {
                lock (budget._lock)
                {
                    budget._used -= bytes;
                }
            }
        }
    }
}
