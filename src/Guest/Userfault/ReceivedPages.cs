using System.Buffers.Binary;
using System.Numerics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// The received bitmap: which pages of guest memory are there. Lock-free; a page that is received stays received, but for those that precopy
/// takes back before the guest has run.
/// </summary>
public sealed class ReceivedPages
{
    private const int BitsPerWord = 64;
    private const int WordShift = 6;
    private const int BitMask = BitsPerWord - 1;

    private readonly ulong[] _words;
    private long _count;

    /// <summary>A bitmap over <paramref name="total"/> pages, none of them received.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="total"/> is not positive.</exception>
    public ReceivedPages(long total)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(total);
        Total = total;
        _words = new ulong[(total + BitMask) >> WordShift];
    }

    /// <summary>Pages there are to receive.</summary>
    public long Total { get; }

    /// <summary>Pages received.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>Whether every page has been received.</summary>
    public bool IsComplete => Count == Total;

    /// <summary>Words that <see cref="CopyTo"/> writes.</summary>
    public int WordCount => _words.Length;

    /// <summary>Whether a page has been received.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public bool IsReceived(long page) => (Volatile.Read(ref _words[page >> WordShift]) >> (int)(page & BitMask) & 1) != 0;

    /// <summary>Marks pages as received and returns how many of them were not yet. A full memory barrier.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    public long Mark(long first, long count)
    {
        CheckRange(first, count);
        long newly = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            ulong before = Interlocked.Or(ref _words[page >> WordShift], bits);
            newly += BitOperations.PopCount(bits & ~before);
            page = next;
        }

        if (newly > 0)
        {
            _ = Interlocked.Add(ref _count, newly);
        }

        return newly;
    }

    /// <summary>Takes pages back. Nobody marks pages of this range at the same time.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    internal void Unmark(long first, long count)
    {
        CheckRange(first, count);
        long gone = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            gone += BitOperations.PopCount(Interlocked.And(ref _words[page >> WordShift], ~bits) & bits);
            page = next;
        }

        _ = Interlocked.Add(ref _count, -gone);
    }

    /// <summary>How many pages of a range have been received.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the bitmap.</exception>
    public long CountIn(long first, long count)
    {
        CheckRange(first, count);
        long received = 0;
        long end = first + count;
        for (long page = first; page < end;)
        {
            (ulong bits, long next) = WordPart(page, end);
            received += BitOperations.PopCount(Volatile.Read(ref _words[page >> WordShift]) & bits);
            page = next;
        }

        return received;
    }

    /// <summary>
    /// The first page at or after <paramref name="from"/> that has not been received; <see cref="Total"/> when there is none.
    /// </summary>
    public long NextMissing(long from) => Next(from, received: false);

    /// <summary>
    /// The first page at or after <paramref name="from"/> that has been received; <see cref="Total"/> when there is none.
    /// </summary>
    public long NextReceived(long from) => Next(from, received: true);

    /// <summary>
    /// The bitmap as words, for the handshake after a lost link: page p is bit p % 64 of word p / 64; bits past the end are 0.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="into"/> is shorter than <see cref="WordCount"/>.</exception>
    public void CopyTo(Span<ulong> into)
    {
        if (into.Length < _words.Length)
        {
            throw new ArgumentException($"the bitmap is {_words.Length} words, there is room for {into.Length}", nameof(into));
        }

        for (int i = 0; i < _words.Length; i++)
        {
            into[i] = Volatile.Read(ref _words[i]);
        }
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

    private static (ulong Bits, long Next) WordPart(long page, long end)
    {
        int bit = (int)(page & BitMask);
        int count = (int)Math.Min(BitsPerWord - bit, end - page);
        return (ulong.MaxValue >> (BitsPerWord - count) << bit, page + count);
    }

    private long Next(long from, bool received)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        if (from >= Total)
        {
            return Total;
        }

        ulong flip = received ? 0 : ulong.MaxValue;
        ulong aboveFrom = ulong.MaxValue << (int)(from & BitMask);
        for (long word = from >> WordShift; word < _words.Length; word++)
        {
            ulong candidates = (Volatile.Read(ref _words[word]) ^ flip) & aboveFrom;
            if (candidates != 0)
            {
                return Math.Min(Total, (word << WordShift) + BitOperations.TrailingZeroCount(candidates));
            }

            aboveFrom = ulong.MaxValue;
        }

        return Total;
    }

    private void CheckRange(long first, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Total);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, Total - count);
    }
}
