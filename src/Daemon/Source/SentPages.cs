using System.Buffers.Binary;
using System.Numerics;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Source;

/// <summary>
/// Which pages have been sent over the lanes that are open, by either, or were received over lanes before them. Lock-free; a bit only ever
/// goes from 0 to 1, but in precopy, where what the guest has written since is to be sent once more.
/// </summary>
internal sealed class SentPages
{
    private const int BitsPerWord = 64;

    private readonly ulong[] _words;

    /// <summary>Nothing has been sent.</summary>
    public SentPages(long pageCount) => _words = new ulong[(pageCount + BitsPerWord - 1) / BitsPerWord];

    /// <summary>What the destination holds: page p is bit p % 8 of byte p / 8, in words of 8 bytes.</summary>
    public SentPages(ReadOnlySpan<byte> received)
    {
        _words = new ulong[received.Length / sizeof(ulong)];
        for (int i = 0; i < _words.Length; i++)
        {
            _words[i] = BinaryPrimitives.ReadUInt64LittleEndian(received[(i * sizeof(ulong))..]);
        }
    }

    /// <summary>How many pages are marked.</summary>
    public long Count()
    {
        long count = 0;
        for (int word = 0; word < _words.Length; word++)
        {
            count += BitOperations.PopCount(Volatile.Read(ref _words[word]));
        }

        return count;
    }

    /// <summary>The runs of pages, of those from 0 to <paramref name="pages"/> - 1, that are not marked, in order.</summary>
    public IEnumerable<(long First, long Count)> UnsentRuns(long pages)
    {
        for (long first = NextUnsent(0, pages); first < pages;)
        {
            long end = first;
            while (end < pages && !IsMarked(end))
            {
                end++;
            }

            yield return (first, end - first);
            first = NextUnsent(end, pages);
        }
    }

    /// <summary>Takes the marks of pages away that were written after they were sent. In precopy, while nothing is being sent.</summary>
    public void Remove(PageSet written)
    {
        ReadOnlySpan<ulong> words = written.Words;
        for (int word = 0; word < words.Length; word++)
        {
            _words[word] &= ~words[word];
        }
    }

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

    /// <summary>How many pages of each block of 2 MiB are marked.</summary>
    public int[] CountBlocks()
    {
        const int WordsPerBlock = GuestPage.PerBlock / BitsPerWord;
        int[] counts = new int[_words.Length / WordsPerBlock];
        for (int word = 0; word < counts.Length * WordsPerBlock; word++)
        {
            counts[word / WordsPerBlock] += BitOperations.PopCount(Volatile.Read(ref _words[word]));
        }

        return counts;
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
