using System.Numerics;

namespace MigrationD.Guest.Dirty;

/// <summary>
/// Remembers in which of the last eight harvests each page was, and so which pages the guest works on: what was written last, and often, is
/// what it needs first. Used by one thread at a time.
/// </summary>
/// <remarks>
/// A byte for each page: the newest harvest is its highest bit, and each harvest moves the older ones down. Read as a number it is larger
/// the more recently the page was written, and of pages written equally recently for the one that was written more steadily. Harvests at
/// equal distances make it a clock; reads do not count, because no kernel interface tells them by page and cheaply (docs/architecture.md).
/// </remarks>
public sealed class WriteHistory
{
    /// <summary>Harvests that are remembered.</summary>
    public const int Depth = 8;

    private const int BytesPerWord = sizeof(ulong);
    private const ulong TopBits = 0x8080_8080_8080_8080;

    private readonly byte[] _heat;

    /// <summary>Begins a history of so many pages, none of them written.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is not positive, or more than an array holds.</exception>
    public WriteHistory(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pageCount, Array.MaxLength - PageBits.PerWord);
        PageCount = pageCount;

        // Whole words of the bitmap, so that the last one needs no other treatment.
        _heat = new byte[PageBits.WordsFor(pageCount) * PageBits.PerWord];
    }

    /// <summary>Pages that there are.</summary>
    public long PageCount { get; }

    /// <summary>How recently and how steadily a page was written; 0 when it is in none of the last harvests.</summary>
    /// <exception cref="IndexOutOfRangeException">There is no such page.</exception>
    public byte HeatOf(long page) => page < PageCount ? _heat[page] : throw new IndexOutOfRangeException();

    /// <summary>Adds a harvest, as the newest.</summary>
    /// <exception cref="ArgumentException">It is of another number of pages.</exception>
    public void Add(PageSet harvest)
    {
        ArgumentNullException.ThrowIfNull(harvest);
        if (harvest.PageCount != PageCount)
        {
            throw new ArgumentException($"the harvest is of {harvest.PageCount} pages, the history of {PageCount}", nameof(harvest));
        }

        Span<ulong> heat = MemoryMarshal.Cast<byte, ulong>(_heat.AsSpan());
        for (int word = 0; word < harvest.Words.Length; word++)
        {
            ulong dirty = harvest.Words[word];
            Span<ulong> pages = heat.Slice(word * BytesPerWord, BytesPerWord);
            for (int i = 0; i < BytesPerWord; i++)
            {
                // Eight pages at once: each byte shifted by itself, its top bit from the bitmap.
                ulong newest = Spread((byte)(dirty >> (i * 8)));
                pages[i] = (pages[i] >> 1 & ~TopBits) | newest;
            }
        }
    }

    /// <summary>
    /// Writes the numbers of the hottest pages, hottest first, equally hot ones by their number, and returns how many: fewer than there is
    /// room for when fewer were written.
    /// </summary>
    /// <param name="into">Room for them.</param>
    /// <param name="least">Only pages that are in at least so many harvests</param>
    /// <param name="harvests">of so many newest ones.</param>
    public int CopyHottest(Span<long> into, int least = 1, int harvests = Depth)
    {
        Span<int> next = stackalloc int[byte.MaxValue + 1];
        next.Clear();
        foreach (byte heat in _heat)
        {
            next[heat]++;
        }

        // The newest harvests are the highest bits.
        int newest = byte.MaxValue << (Depth - harvests) & byte.MaxValue;
        for (int heat = 0; heat <= byte.MaxValue; heat++)
        {
            next[heat] = BitOperations.PopCount((uint)(heat & newest)) >= least ? next[heat] : 0;
        }

        // From how many pages have a heat to where the first of them goes.
        long above = 0;
        for (int heat = byte.MaxValue; heat > 0; heat--)
        {
            int count = next[heat];
            // Nobody goes behind the end.
            next[heat] = count == 0 ? into.Length : (int)Math.Min(above, into.Length);
            above += count;
        }

        for (int page = 0; page < _heat.Length; page++)
        {
            byte heat = _heat[page];
            if (heat != 0 && next[heat] < into.Length)
            {
                into[next[heat]++] = page;
            }
        }

        return (int)Math.Min(above, into.Length);
    }

    /// <summary>Bit i of a byte becomes the top bit of byte i.</summary>
    private static ulong Spread(byte bits)
    {
        // A copy of the byte in every byte, of which each keeps one bit; a bit that is set then carries into the top bit.
        ulong kept = bits * 0x0101_0101_0101_0101UL & 0x8040_2010_0804_0201UL;
        return (kept + 0x007F_7F7F_7F7F_7F7FUL | kept) & TopBits;
    }
}
