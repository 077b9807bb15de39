namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// In which order the push visits the blocks of memory: one after the other, in turn from each of the places where the guest last waited.
/// </summary>
/// <remarks>
/// A guest that waited for a page is likely to want its neighbours next ("bubbling", and several pivots at once, in Hines and Gopalan, VEE
/// 2009). A pivot that has nothing left near it goes on through the rest. Every block is handed out once. Any thread takes, and any
/// gives hints.
/// </remarks>
internal sealed class PushOrder
{
    // As many as a guest has vCPUs, each of which walks somewhere else.
    private const int MaxPivots = 4;

    private const long None = -1;

    private readonly Lock _lock = new();
    private readonly bool[] _taken;
    private readonly long[] _pivots = new long[MaxPivots];
    private long _left;
    private int _turn;
    private int _oldest;
    private long _hint = None;

    /// <summary>An order over this many blocks, which begins with the first.</summary>
    public PushOrder(long blockCount)
    {
        _taken = new bool[blockCount];
        _left = blockCount;
    }

    /// <summary>Hints at a block for a page of which the guest waits, or just did. Of hints that nobody took the newest counts.</summary>
    public void Hint(long block) => Volatile.Write(ref _hint, block);

    /// <summary>Takes the next block to push; false when all have been handed out.</summary>
    public bool TryTake(out long block)
    {
        lock (_lock)
        {
            block = None;
            if (_left == 0)
            {
                return false;
            }

            int pivot = PivotAtHint() ?? NextTurn();
            block = NextFree(_pivots[pivot]);
            _pivots[pivot] = block;
            _taken[block] = true;
            _left--;
            return true;
        }
    }

    /// <summary>Puts the oldest pivot where the guest waits now, and says which that is; null when there is nothing new.</summary>
    private int? PivotAtHint()
    {
        long hint = Interlocked.Exchange(ref _hint, None);
        if (hint == None || _taken[hint])
        {
            return null;
        }

        int pivot = _oldest;
        _oldest = (_oldest + 1) % MaxPivots;
        _pivots[pivot] = hint;
        return pivot;
    }

    private int NextTurn() => _turn = (_turn + 1) % MaxPivots;

    private long NextFree(long from)
    {
        while (_taken[from])
        {
            from = (from + 1) % _taken.Length;
        }

        return from;
    }
}
