using System.Numerics;

namespace MigrationD.Guest.Memory;

/// <summary>A set of guest pages as a bitmap: what is dirty, what is still to be sent. Used by one thread at a time.</summary>
/// <remarks>
/// Worked on by words of 64 pages, so that a set of 1 GiB is gone through in microseconds. <see cref="Userfault.ReceivedPages"/> is the
/// other kind: many threads enter pages there, and none is ever taken out.
/// </remarks>
public sealed class PageSet
{
    private const int BitsPerWord = 64;
    private const int WordShift = 6;
    private const int BitMask = BitsPerWord - 1;

    private readonly ulong[] _words;

    /// <summary>An empty set of pages from 0 to <paramref name="pageCount"/> - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is not positive.</exception>
    public PageSet(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pageCount);
        PageCount = pageCount;
        _words = new ulong[(pageCount + BitMask) >> WordShift];
    }

    /// <summary>Pages that there are, in the set or not.</summary>
    public long PageCount { get; }

    /// <summary>The bitmap: page p is bit p % 64 of word p / 64; bits past the end are 0.</summary>
    public ReadOnlySpan<ulong> Words => _words;

    /// <summary>How many pages are in the set. Counted anew at each call, 64 at a time.</summary>
    public long Count()
    {
        long count = 0;
        foreach (ulong word in _words)
        {
            count += BitOperations.PopCount(word);
        }

        return count;
    }

    /// <summary>Whether a page is in the set.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public bool Contains(long page) => (_words[page >> WordShift] >> (int)(page & BitMask) & 1) != 0;

    /// <summary>How many pages of a range are in the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public long CountIn(long first, long count)
    {
        CheckRange(first, count);
        long found = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            found += BitOperations.PopCount(_words[page >> WordShift] & bits);
            page = next;
        }

        return found;
    }

    /// <summary>Puts a range of pages into the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public void Add(long first, long count)
    {
        CheckRange(first, count);
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            _words[page >> WordShift] |= bits;
            page = next;
        }
    }

    /// <summary>Takes a range of pages out of the set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the set's pages.</exception>
    public void Remove(long first, long count)
    {
        CheckRange(first, count);
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            _words[page >> WordShift] &= ~bits;
            page = next;
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
        for (int i = 0; i < _words.Length; i++)
        {
            _words[i] |= other._words[i];
        }
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
        first = Next(from, flip: 0);
        count = first < PageCount ? Next(first, flip: ulong.MaxValue) - first : 0;
        return count > 0;
    }

    /// <summary>Puts the pages of a bitmap into the set, its first bit being page <paramref name="firstPage"/>, and counts them.</summary>
    /// <param name="firstPage">A multiple of 64.</param>
    /// <param name="words">No bit in it lies past the end of the set.</param>
    internal long UnionWith(long firstPage, ReadOnlySpan<ulong> words)
    {
        Span<ulong> into = _words.AsSpan((int)(firstPage >> WordShift), words.Length);
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

    private static (ulong Bits, long Next) WordPart(long page, long end)
    {
        int bit = (int)(page & BitMask);
        int count = (int)Math.Min(BitsPerWord - bit, end - page);
        return (ulong.MaxValue >> (BitsPerWord - count) << bit, page + count);
    }

    private long Next(long from, ulong flip)
    {
        if (from >= PageCount)
        {
            return PageCount;
        }

        ulong aboveFrom = ulong.MaxValue << (int)(from & BitMask);
        for (long word = from >> WordShift; word < _words.Length; word++)
        {
            ulong candidates = (_words[word] ^ flip) & aboveFrom;
            if (candidates != 0)
            {
                return Math.Min(PageCount, (word << WordShift) + BitOperations.TrailingZeroCount(candidates));
            }

            aboveFrom = ulong.MaxValue;
        }

        return PageCount;
    }

    private void CheckSameSize(PageSet other)
    {
        if (other.PageCount != PageCount)
        {
            throw new ArgumentException($"the other set is of {other.PageCount} pages, this one of {PageCount}", nameof(other));
        }
    }

    private void CheckRange(long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, PageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, PageCount - count);
    }
}
