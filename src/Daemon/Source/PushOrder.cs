namespace MigrationD.Daemon.Source;

/// <summary>
/// In which order the push visits the blocks of memory: one after the other, but from where the guest last waited for a page.
/// </summary>
/// <remarks>
/// A guest that waited for a page is likely to want its neighbours next ("bubbling" in Hines and Gopalan, VEE 2009). Every block is
/// handed out once. One thread takes; any thread gives hints.
/// </remarks>
internal sealed class PushOrder
{
    private const long NoHint = -1;

    private readonly bool[] _taken;
    private long _left;
    private long _cursor;
    private long _hint = NoHint;

    public PushOrder(long blockCount)
    {
        _taken = new bool[blockCount];
        _left = blockCount;
    }

    /// <summary>The guest waits, or has just waited, for a page of this block.</summary>
    public void Hint(long block) => Volatile.Write(ref _hint, block);

    /// <summary>The next block to push; false when all have been handed out.</summary>
    public bool TryTake(out long block)
    {
        block = 0;
        if (_left == 0)
        {
            return false;
        }

        long hint = Interlocked.Exchange(ref _hint, NoHint);
        if (hint != NoHint)
        {
            _cursor = hint;
        }

        while (_taken[_cursor])
        {
            _cursor = (_cursor + 1) % _taken.Length;
        }

        block = _cursor;
        _taken[block] = true;
        _left--;
        return true;
    }
}
