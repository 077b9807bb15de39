using System.Numerics;

namespace MigrationD.Guest.Memory;

/// <summary>A set of guest pages as a bitmap: what is dirty, what is still to be sent. Used by one thread at a time.</summary>
/// <remarks>
/// Worked on by words of 64 pages, so that a set of 1 GiB is gone through in microseconds. <see cref="Userfault.ReceivedPages"/> is of the
/// other kind: many threads enter pages there at the same time.
/// </remarks>
public sealed class PageSet
{
    private readonly ulong[] _words;

    /// <summary>An empty set of pages from 0 to <paramref name="pageCount"/> - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is not positive.</exception>
    public PageSet(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pageCount);
        PageCount = pageCount;
        _words = new ulong[PageBits.WordsFor(pageCount)];
    }

    /// <summary>Pages that there are, in the set or not.</summary>
    public long PageCount { get; }

    /// <summary>The bitmap: page p is bit p % 64 of word p / 64; bits past the end are 0.</summary>
    public ReadOnlySpan<ulong> Words => _words;

    /// <summary>How many pages are in the set. Counted anew at each call, 64 at a time.</summary>
    public long Count() => PageBits.CountIn(_words, 0, PageCount);

    /// <summary>Whether a page is in the set.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public bool Contains(long page) => PageBits.IsSet(_words, page);

    /// <summary>How many pages of a range are in the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public long CountIn(long first, long count)
    {
        PageBits.CheckRange(first, count, PageCount);
        return PageBits.CountIn(_words, first, first + count);
    }

    /// <summary>Puts a range of pages into the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public void Add(long first, long count)
    {
        PageBits.CheckRange(first, count, PageCount);
        long end = first + count;
        for (long page = first; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            _words[word] |= bits;
        }
    }

    /// <summary>Takes a range of pages out of the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public void Remove(long first, long count)
    {
        PageBits.CheckRange(first, count, PageCount);
        long end = first + count;
        for (long page = first; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            _words[word] &= ~bits;
        }
    }

    /// <summary>Takes all pages out.</summary>
    public void Clear() => Array.Clear(_words);

    /// <summary>Puts every page of <paramref name="other"/> into this set too.</summary>
    /// <exception cref="ArgumentException">The other set is of another number of pages.</exception>
    public void UnionWith(PageSet other)
    {
        ArgumentNullException.ThrowIfNull(other);
        CheckSameSize(other);
        _ = UnionWith(0, other._words);
    }

    /// <summary>Takes every page of <paramref name="other"/> out of this set.</summary>
    /// <exception cref="ArgumentException">The other set is of another number of pages.</exception>
    public void ExceptWith(PageSet other)
    {
        ArgumentNullException.ThrowIfNull(other);
        CheckSameSize(other);
        for (int i = 0; i < _words.Length; i++)
        {
            _words[i] &= ~other._words[i];
        }
    }

    /// <summary>
    /// The first run of pages of the set at or after <paramref name="from"/>, as long as it goes; false when there is none. To go
    /// through the set: start at 0, go on at <c>first + count</c>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> is negative.</exception>
    public bool TryNextRun(long from, out long first, out long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        first = PageBits.NextSet(_words, from, PageCount);
        count = first < PageCount ? PageBits.NextClear(_words, first, PageCount) - first : 0;
        return count > 0;
    }

    /// <summary>
    /// Puts the pages of a bitmap into the set, and counts them. Its first bit is page <paramref name="firstPage"/>, a multiple of 64; no
    /// bit lies past the end of the set.
    /// </summary>
    internal long UnionWith(long firstPage, ReadOnlySpan<ulong> words)
    {
        Span<ulong> into = _words.AsSpan((int)(firstPage / PageBits.PerWord), words.Length);
        long count = 0;
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i] is var word and not 0)
            {
                count += BitOperations.PopCount(word);
                into[i] |= word;
            }
        }

        return count;
    }

    private void CheckSameSize(PageSet other)
    {
        if (other.PageCount != PageCount)
        {
            throw new ArgumentException($"the other set is of {other.PageCount} pages, this one of {PageCount}", nameof(other));
        }
    }
}
