using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Pages;

/// <summary>The ways of packing pages that this program knows.</summary>
public static class PageCompressions
{
    /// <summary>
    /// The ways in which the program packs and unpacks, best first. On one core Zstandard packs 460 to 940 MB/s of memory, smaller than
    /// Brotli at its fastest (630 to 1,040 MB/s), and unpacks 800 to 2,500 MB/s against 380 to 1,260. Brotli is here for daemons from
    /// before Zstandard was a part of the program: they took the host's libzstd, and know nothing else where there is none. The framework's
    /// zlib is slower at both ends, and takes longest over what cannot be packed.
    /// </summary>
    public static IReadOnlyList<PageCompression> Known { get; } = [PageCompression.Zstd, PageCompression.Brotli];

    /// <summary>The first of what a source offers that this program knows; None when it knows none of it.</summary>
    public static PageCompression Choose(IEnumerable<PageCompression> offered) => offered.FirstOrDefault(Known.Contains);

    internal static void RefuseUnlessKnown(PageCompression compression)
    {
        if (!Known.Contains(compression))
        {
            throw new ArgumentException($"this program does not know how to pack pages as {compression}", nameof(compression));
        }
    }
}
