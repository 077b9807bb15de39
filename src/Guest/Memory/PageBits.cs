using System.Numerics;

namespace MigrationD.Guest.Memory;

/// <summary>
/// Goes through a bitmap of pages by words of 64: page p is bit p % 64 of word p / 64. What it reads it reads from memory each time, for
/// bitmaps that other threads change meanwhile; who may change them, and how, the owner of the bitmap says.
/// </summary>
public static class PageBits
{
    /// <summary>Pages in a word.</summary>
    public const int PerWord = 1 << Shift;

    private const int Shift = 6;

    /// <summary>Words of a bitmap of so many pages.</summary>
    public static int WordsFor(long pageCount) => (int)((pageCount + PerWord - 1) >> Shift);

    /// <summary>
    /// Picks, of the pages from <paramref name="page"/> to <paramref name="end"/> - 1 (one at least), those in the word of the first.
    /// </summary>
    /// <returns>The word, their bits in it, and the first page that is not among them.</returns>
    public static (int Word, ulong Bits, long Next) FirstPart(long page, long end)
    {
        int bit = (int)(page & (PerWord - 1));
        int count = (int)Math.Min(PerWord - bit, end - page);
        return ((int)(page >> Shift), ulong.MaxValue >> (PerWord - count) << bit, page + count);
    }

    /// <summary>Whether a page is marked.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public static bool IsSet(ulong[] words, long page) => (Volatile.Read(ref words[page >> Shift]) >> (int)(page & (PerWord - 1)) & 1) != 0;

    /// <summary>How many of the pages from <paramref name="from"/> to <paramref name="end"/> - 1 are marked.</summary>
    public static long CountIn(ulong[] words, long from, long end)
    {
        long count = 0;
        for (long page = from; page < end;)
        {
            (int word, ulong bits, page) = FirstPart(page, end);
            count += BitOperations.PopCount(Volatile.Read(ref words[word]) & bits);
        }

        return count;
    }

    /// <summary>The first of the pages from <paramref name="from"/> to <paramref name="end"/> - 1 that is marked; else the end.</summary>
    public static long NextSet(ulong[] words, long from, long end) => Next(words, from, end, flip: 0);

    /// <summary>
    /// The first of the pages from <paramref name="from"/> to <paramref name="end"/> - 1 that is not marked; else the end.
    /// </summary>
    public static long NextClear(ulong[] words, long from, long end) => Next(words, from, end, flip: ulong.MaxValue);

    /// <summary>Refuses a range of pages that is empty or not inside a bitmap of so many pages.</summary>
    internal static void CheckRange(long first, long count, long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, pageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, pageCount - count);
    }

    private static long Next(ulong[] words, long from, long end, ulong flip)
    {
        for (long page = from; page < end;)
        {
            (int word, ulong bits, long next) = FirstPart(page, end);
            ulong found = (Volatile.Read(ref words[word]) ^ flip) & bits;
            if (found != 0)
            {
                return ((long)word << Shift) + BitOperations.TrailingZeroCount(found);
            }

            page = next;
        }

        return end;
    }
}
