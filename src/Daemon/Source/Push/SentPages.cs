using System.Buffers.Binary;
using System.Numerics;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Which pages have been sent over the lanes that are open, by either, or were received over lanes before them. Lock-free; a bit only ever
/// goes from 0 to 1, but in precopy, where what the guest has written since is to be sent once more.
/// </summary>
internal sealed class SentPages
{
    private readonly ulong[] _words;

    /// <summary>A map by which nothing has been sent.</summary>
    public SentPages(long pageCount) => _words = new ulong[PageBits.WordsFor(pageCount)];

    /// <summary>A map of what the destination holds: page p is bit p % 8 of byte p / 8, in words of 8 bytes.</summary>
    public SentPages(ReadOnlySpan<byte> received)
    {
        _words = new ulong[received.Length / sizeof(ulong)];
        for (int i = 0; i < _words.Length; i++)
        {
            _words[i] = BinaryPrimitives.ReadUInt64LittleEndian(received[(i * sizeof(ulong))..]);
        }
    }

    private long AllPages => (long)_words.Length * PageBits.PerWord;

    public long Count() => PageBits.CountIn(_words, 0, AllPages);

    /// <summary>Lists the runs of pages, of those from 0 to <paramref name="pages"/> - 1, that are not marked, in order.</summary>
    public IEnumerable<(long First, long Count)> UnsentRuns(long pages)
    {
        for (long first = NextUnsent(0, pages); first < pages;)
        {
            long end = PageBits.NextSet(_words, first, pages);
            yield return (first, end - first);
            first = NextUnsent(end, pages);
        }
    }

    /// <summary>Removes the marks of pages that were written after they were sent. In precopy, while nothing is being sent.</summary>
    public void Remove(PageSet written)
    {
        ReadOnlySpan<ulong> words = written.Words;
        for (int word = 0; word < words.Length; word++)
        {
            if (words[word] is var gone and not 0)
            {
                _ = Interlocked.And(ref _words[word], ~gone);
            }
        }
    }

    /// <summary>Marks one page; says whether it was not marked before.</summary>
    public bool Mark(long page)
    {
        (int word, ulong bit, _) = PageBits.FirstPart(page, page + 1);
        return (Interlocked.Or(ref _words[word], bit) & bit) == 0;
    }

    /// <summary>Finds the first page from one on, before <paramref name="end"/>, that is not marked; else the end.</summary>
    public long NextUnsent(long from, long end) => PageBits.NextClear(_words, from, end);

    /// <summary>
    /// Marks pages from <paramref name="from"/> on until one is marked already or <paramref name="end"/> is reached; counts the pages that
    /// are now this caller's to send.
    /// </summary>
    public int ClaimRun(long from, long end)
    {
        long page = from;
        while (page < end)
        {
            (int word, ulong bits, long next) = PageBits.FirstPart(page, end);
            int claimed = ClaimIn(ref _words[word], bits);
            page += claimed;
            if (page < next)
            {
                break;
            }
        }

        return (int)(page - from);
    }

    public int CountIn(long from, long end) => (int)PageBits.CountIn(_words, from, end);

    /// <summary>Counts the pages of each block of 2 MiB that are marked.</summary>
    public int[] CountBlocks()
    {
        var firsts = Enumerable.Range(0, (int)(AllPages / GuestPage.PerBlock)).Select(block => (long)block * GuestPage.PerBlock);
        return [.. firsts.Select(first => CountIn(first, first + GuestPage.PerBlock))];
    }

    public void MarkAll(long from, long end)
    {
        for (long page = from; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            _ = Interlocked.Or(ref _words[word], bits);
        }
    }

    /// <summary>
    /// Marks the pages of a word, lowest first, up to the first one that is marked already, and counts them. Those behind it must not be
    /// marked in the same step: who marks a page has to send it.
    /// </summary>
    private static int ClaimIn(ref ulong word, ulong bits)
    {
        for (ulong before = Volatile.Read(ref word); ;)
        {
            ulong taken = before & bits;
            ulong lowest = taken & (~taken + 1);
            ulong claimed = taken == 0 ? bits : bits & (lowest - 1);
            ulong found = claimed == 0 ? before : Interlocked.CompareExchange(ref word, before | claimed, before);
            if (found == before)
            {
                return BitOperations.PopCount(claimed);
            }

            before = found;
        }
    }
}
