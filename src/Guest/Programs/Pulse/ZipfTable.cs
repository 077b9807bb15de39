using System.Numerics;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// Zipf's law (exponent 1) as a table: draw 16 random bits, look up the page. Made by the host, kept in guest RAM, because the guest
/// has no use for a logarithm.
/// </summary>
/// <remarks>
/// A share of more pages than the table has entries leaves the rarest pages to the sweep. Ranks are spread over the share, so that
/// popular pages are not neighbours, as in a real heap.
/// </remarks>
internal static class ZipfTable
{
    /// <summary>Entries; a power of two, drawn by the top bits of a random number.</summary>
    public const int Entries = 1 << Bits;

    /// <summary>log2 of <see cref="Entries"/>.</summary>
    public const int Bits = 16;

    /// <summary>Size in guest RAM; an entry is a page number in 32 bits.</summary>
    public const int Bytes = Entries * sizeof(uint);

    /// <summary>The table for a share of this many pages. Each entry is less than <paramref name="pages"/>.</summary>
    public static uint[] Create(long pages)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pages, 1);
        double total = 0;
        for (long rank = 1; rank <= pages; rank++)
        {
            total += 1.0 / rank;
        }

        long stride = SpreadingStride(pages);
        var table = new uint[Entries];
        long current = 1;
        double below = 1.0;
        for (int entry = 0; entry < Entries; entry++)
        {
            double wanted = (entry + 0.5) / Entries * total;
            while (below < wanted && current < pages)
            {
                current++;
                below += 1.0 / current;
            }

            table[entry] = (uint)((Int128)(current - 1) * stride % pages);
        }

        return table;
    }

    /// <summary>A number near pages / golden ratio that shares no factor with it: its multiples visit each page once, far apart.</summary>
    private static long SpreadingStride(long pages)
    {
        long stride = Math.Max(1, (long)(pages * 0.6180339887));
        while (!BigInteger.GreatestCommonDivisor(stride, pages).IsOne)
        {
            stride++;
        }

        return stride;
    }
}
