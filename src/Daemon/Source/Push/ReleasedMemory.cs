using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Gives a guest's memory, which stands still, back to this host, block by block, once the destination has said that it holds all of the
/// block. From the first one on the guest cannot go on here: pages are gone.
/// </summary>
/// <remarks>
/// Nobody needs a block that is released. The push may still be sending it, when every page of it was asked for meanwhile; what it sends
/// then is dropped, because the pages are there.
/// </remarks>
internal sealed class ReleasedMemory(GuestMemory memory)
{
    private readonly Lock _lock = new();
    private readonly bool[] _confirmed = new bool[memory.BlockCount];
    private readonly bool[] _released = new bool[memory.BlockCount];
    private long _notReleased;
    private bool _closed;
    private long _blocks;

    public long Bytes => Interlocked.Read(ref _blocks) * GuestPage.BlockSize;

    public bool Has(long block) => Volatile.Read(ref _released[block]);

    /// <summary>Takes down that the destination holds these blocks.</summary>
    public void Confirm(long firstBlock, long count)
    {
        lock (_lock)
        {
            for (long block = firstBlock; block < firstBlock + count; block++)
            {
                _notReleased += _confirmed[block] ? 0 : 1;
                _confirmed[block] = true;
            }
        }
    }

    /// <summary>Gives back every block that has been confirmed.</summary>
    public void Release()
    {
        lock (_lock)
        {
            if (_closed || _notReleased == 0)
            {
                return;
            }

            for (long block = 0; block < _confirmed.Length; block++)
            {
                if (_confirmed[block] && !_released[block])
                {
                    // First said, then done: a block that is found not released is whole.
                    Volatile.Write(ref _released[block], true);
                    Interlocked.Increment(ref _blocks);
                    memory.Discard(block * GuestPage.PerBlock, GuestPage.PerBlock);
                }
            }

            _notReleased = 0;
        }
    }

    /// <summary>Gives nothing back any more; says whether nothing was given back until now, so that the guest is whole here.</summary>
    public bool TryKeep()
    {
        lock (_lock)
        {
            _closed |= _blocks == 0;
            return _blocks == 0;
        }
    }
}
