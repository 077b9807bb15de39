using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Which blocks of 2 MiB a source has been told of, over one push lane, that every page of them is here. Only once the guest runs here:
/// before that a page can be taken back. Used by one thread.
/// </summary>
internal sealed class ConfirmedBlocks(ReceivedPages received)
{
    private readonly bool[] _told = new bool[received.Total / GuestPage.PerBlock];

    /// <summary>Takes the runs of blocks that have become whole since it was asked before, in order.</summary>
    public IEnumerable<(long First, long Count)> TakeNew()
    {
        for (int block = 0; block < _told.Length; block++)
        {
            int first = block;
            while (block < _told.Length && IsNew(block))
            {
                _told[block++] = true;
            }

            if (block > first)
            {
                yield return (first, block - first);
            }
        }
    }

    private bool IsNew(int block) =>
        !_told[block] && received.CountIn((long)block * GuestPage.PerBlock, GuestPage.PerBlock) == GuestPage.PerBlock;
}
