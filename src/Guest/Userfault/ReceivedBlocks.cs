namespace MigrationD.Guest.Userfault;

/// <summary>
/// Knows in which ways the pages of each block of 2 MiB came, for people who look on. Nothing depends on it, so the page path pays a load
/// for it and, the first time in a block, a store. A way of its own has a cell of its own: threads that write different ways need no
/// agreement.
/// </summary>
public sealed class ReceivedBlocks
{
    private readonly bool[] _urgent;
    private readonly bool[] _push;
    private readonly bool[] _zero;

    internal ReceivedBlocks(long count)
    {
        _urgent = new bool[count];
        _push = new bool[count];
        _zero = new bool[count];
    }

    /// <summary>How many blocks there are.</summary>
    public int Count => _urgent.Length;

    /// <summary>The ways in which pages of a block came; a page that has just come may not be seen in it yet.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such block.</exception>
    public BlockPaths Of(int block) =>
        (Volatile.Read(ref _urgent[block]) ? BlockPaths.Urgent : BlockPaths.None)
        | (Volatile.Read(ref _push[block]) ? BlockPaths.Push : BlockPaths.None)
        | (Volatile.Read(ref _zero[block]) ? BlockPaths.Zero : BlockPaths.None);

    /// <summary>Marks the block of a page with content that has been placed.</summary>
    internal void MarkContent(long page, PagePath path) => Mark(path == PagePath.Urgent ? _urgent : _push, page / GuestPage.PerBlock);

    /// <summary>Marks the blocks of pages of zeros that have been placed.</summary>
    internal void MarkZeros(long firstPage, long pageCount)
    {
        long last = (firstPage + pageCount - 1) / GuestPage.PerBlock;
        for (long block = firstPage / GuestPage.PerBlock; block <= last; block++)
        {
            Mark(_zero, block);
        }
    }

    private static void Mark(bool[] cells, long block)
    {
        // Written once: a line of the cache that is written again and again would travel between the processors of both lanes.
        if (!Volatile.Read(ref cells[block]))
        {
            Volatile.Write(ref cells[block], true);
        }
    }
}

/// <summary>The ways in which pages of a block of 2 MiB came.</summary>
[Flags]
public enum BlockPaths
{
    /// <summary>None came.</summary>
    None = 0,

    /// <summary>Some were asked for.</summary>
    Urgent = 1,

    /// <summary>Some were sent by the source of its own accord.</summary>
    Push = 2,

    /// <summary>Some were zeros, which come without content, on either path.</summary>
    Zero = 4,
}
