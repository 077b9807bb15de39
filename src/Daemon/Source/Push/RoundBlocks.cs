namespace MigrationD.Daemon.Source.Push;

/// <summary>The blocks of one round of precopy, in ascending order; each is handed out once, to the push lane that asks first.</summary>
internal sealed class RoundBlocks(long blockCount)
{
    private long _next = -1;

    /// <summary>Takes the next block; false when all have been handed out.</summary>
    public bool TryTake(out long block)
    {
        block = Interlocked.Increment(ref _next);
        return block < blockCount;
    }
}
