using System.Buffers.Binary;
using System.Numerics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// The received bitmap: which pages of guest memory are there. Lock-free; a page that is received stays received, but for those that
/// precopy takes back before the guest has run.
/// </summary>
public sealed class ReceivedPages
{
    private readonly ulong[] _words;
    private long _count;

    /// <summary>A bitmap over <paramref name="total"/> pages, none of them received.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="total"/> is not positive.</exception>
    public ReceivedPages(long total)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(total);
        Total = total;
        _words = new ulong[PageBits.WordsFor(total)];
    }

    /// <summary>Pages there are to receive.</summary>
    public long Total { get; }

    /// <summary>Pages received.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>Whether every page has been received.</summary>
    public bool IsComplete => Count == Total;

    /// <summary>Whether a page has been received.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public bool IsReceived(long page) => PageBits.IsSet(_words, page);

    /// <summary>Marks pages as received and returns how many of them were not yet. A full memory barrier.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    public long Mark(long first, long count) => Mark(first, count, counter: null);

    /// <summary>
    /// Marks as the other does, and adds to a counter of the caller's what it adds to <see cref="Count"/>, before it does that: whoever
    /// finds everything received finds everything counted as well.
    /// </summary>
    internal long Mark(long first, long count, PlacementCounter? counter)
    {
        PageBits.CheckRange(first, count, Total);
        long newly = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            newly += BitOperations.PopCount(bits & ~Interlocked.Or(ref _words[word], bits));
        }

        if (newly > 0)
        {
            counter?.Add(newly);
            _ = Interlocked.Add(ref _count, newly);
        }

        return newly;
    }

    /// <summary>Makes pages missing again. Nobody marks pages of this range at the same time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    internal void Unmark(long first, long count)
    {
        PageBits.CheckRange(first, count, Total);
        long gone = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (int word, ulong bits, page) = PageBits.FirstPart(page, end);
            gone += BitOperations.PopCount(bits & Interlocked.And(ref _words[word], ~bits));
        }

        _ = Interlocked.Add(ref _count, -gone);
    }

    /// <summary>How many pages of a range have been received.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    public long CountIn(long first, long count)
    {
        PageBits.CheckRange(first, count, Total);
        return PageBits.CountIn(_words, first, first + count);
    }

    /// <summary>
    /// The first page at or after <paramref name="from"/> that has not been received; <see cref="Total"/> when there is none.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> is negative.</exception>
    public long NextMissing(long from)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        return PageBits.NextClear(_words, from, Total);
    }

    /// <summary>
    /// The first page at or after <paramref name="from"/> that has been received; <see cref="Total"/> when there is none.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> is negative.</exception>
    public long NextReceived(long from)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        return PageBits.NextSet(_words, from, Total);
    }

    /// <summary>The bitmap as bytes: page p is bit p % 8 of byte p / 8, on every machine.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[_words.Length * sizeof(ulong)];
        for (int i = 0; i < _words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), Volatile.Read(ref _words[i]));
        }

        return bytes;
    }
}
