using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Pages;

/// <summary>Everything of a PageRun message (transport.proto) but its data.</summary>
/// <param name="RamBlock">Index of the RAM block.</param>
/// <param name="FirstPage">Index of the first page in the block.</param>
/// <param name="PageCount">Pages of 4096 bytes; at least 1, and with data at most 512, all in one 2 MiB block.</param>
/// <param name="IsZero">The pages hold nothing but zeros, and no data follows.</param>
/// <param name="IsHuge">The block that the pages are in is one huge page on the source.</param>
/// <param name="Mark">A word about the pages before it, and no pages; None for a run of pages.</param>
/// <param name="Compression">How the data is packed.</param>
/// <param name="PackedLength">Bytes of packed data, fewer than the pages have; 0 when it is not packed.</param>
public readonly record struct PageRunHeader(
    uint RamBlock, ulong FirstPage, uint PageCount, bool IsZero, bool IsHuge = false, PrecopyMark Mark = PrecopyMark.None,
    PageCompression Compression = PageCompression.None, int PackedLength = 0)
{
    /// <summary>The size of a page in bytes.</summary>
    public const int PageSize = 4096;

    /// <summary>The most pages with data in one run: a block of 2 MiB.</summary>
    public const int MaxDataPages = 512;

    /// <summary>How many bytes of data follow.</summary>
    public int DataLength => IsPacked ? PackedLength : IsZero || Mark != PrecopyMark.None ? 0 : checked((int)PageCount * PageSize);

    /// <summary>Whether the data has to be unpacked.</summary>
    public bool IsPacked => Compression != PageCompression.None;

    /// <summary>What is wrong with it, or null.</summary>
    internal string? Fault =>
        Mark != PrecopyMark.None
            ? Mark is not (PrecopyMark.RoundEnded or PrecopyMark.PrecopyEnded) ? $"a mark of precopy that is unknown, {Mark}"
            : PageCount != 0 || IsZero ? $"a mark of precopy with {PageCount} pages"
            : IsPacked ? "a mark of precopy that is packed" : null :
        PageCount == 0 ? "a run of 0 pages"
        : FirstPage > ulong.MaxValue - PageCount ? $"a run of {PageCount} pages from page {FirstPage}, beyond any memory"
        : IsZero ? IsPacked ? "pages of zeros that are packed" : null
        : PageCount > MaxDataPages ? $"a run of {PageCount} pages with data, and at most {MaxDataPages} are allowed"
        : (FirstPage % MaxDataPages) + PageCount > MaxDataPages
            ? $"a run of {PageCount} pages from page {FirstPage}, across a boundary of 2 MiB"
        : !IsPacked ? null
        : Compression is not (PageCompression.Zstd or PageCompression.Brotli) ? $"data packed in a way that is unknown, {Compression}"
        : PackedLength <= 0 || PackedLength >= PageCount * PageSize ? $"{PackedLength} bytes of packed data for {PageCount} pages"
        : null;
}
