namespace MigrationD.Daemon.Source;

/// <summary>Which pages have been sent, by either lane. Lock-free; a bit only ever goes from 0 to 1.</summary>
internal sealed class SentPages(long pageCount)
{
    private const int BitsPerWord = 64;

    private readonly ulong[] _words = new ulong[(pageCount + BitsPerWord - 1) / BitsPerWord];

    /// <summary>Marks one page; whether it was not marked before.</summary>
    public bool Mark(long page)
    {
        ulong bit = 1UL << (int)(page % BitsPerWord);
        return (Interlocked.Or(ref _words[page / BitsPerWord], bit) & bit) == 0;
    }

    /// <summary>The first page from <paramref name="from"/> on, before <paramref name="end"/>, that is not marked; else the end.</summary>
    public long NextUnsent(long from, long end)
    {
        while (from < end && IsMarked(from))
        {
            from++;
        }

        return from;
    }

    /// <summary>
    /// Marks pages from <paramref name="from"/> on until one is marked already or <paramref name="end"/> is reached; the number of pages
    /// that are now this caller's to send.
    /// </summary>
    public int ClaimRun(long from, long end)
    {
        long page = from;
        while (page < end && Mark(page))
        {
            page++;
        }

        return (int)(page - from);
    }

    /// <summary>How many pages of a range are marked.</summary>
    public int CountIn(long from, long end)
    {
        int count = 0;
        for (long page = from; page < end; page++)
        {
            count += IsMarked(page) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Marks all pages of a range.</summary>
    public void MarkAll(long from, long end)
    {
        for (long page = from; page < end; page++)
        {
            Mark(page);
        }
    }

    private bool IsMarked(long page) => (Volatile.Read(ref _words[page / BitsPerWord]) >> (int)(page % BitsPerWord) & 1) != 0;
}
