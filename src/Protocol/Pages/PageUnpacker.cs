using System.IO.Compression;
using MigrationD.Protocol.V1;
using ZstdSharp;

namespace MigrationD.Protocol.Pages;

/// <summary>
/// Unpacks pages one way, whichever peer packed them: what comes of it never exceeds the room for it, nor does the memory that it takes
/// depend on what the data says. Used by one thread at a time; allocates nothing managed.
/// </summary>
public sealed class PageUnpacker : IDisposable
{
    /// <summary>The window of Brotli: a block of 2 MiB.</summary>
    internal const int BrotliWindowBits = 21;

    private readonly Decompressor? _zstd;

    /// <summary>Makes an unpacker for one of <see cref="PageCompressions.Known"/>.</summary>
    /// <exception cref="ArgumentException">This program does not know it.</exception>
    public PageUnpacker(PageCompression compression)
    {
        PageCompressions.RefuseUnlessKnown(compression);
        _zstd = compression == PageCompression.Zstd ? new Decompressor() : null;
    }

    /// <summary>
    /// Unpacks data into pages; false when it is not packed this way, or not exactly as many bytes as there is room for. What the pages
    /// hold after a failure means nothing.
    /// </summary>
    public bool TryUnpack(ReadOnlySpan<byte> packed, Span<byte> pages) =>
        _zstd is { } zstd
            ? TryUnwrap(zstd, packed, pages)
            : HasSmallWindow(packed) && BrotliDecoder.TryDecompress(packed, pages, out int written) && written == pages.Length;

    /// <summary>Frees the decompressor.</summary>
    public void Dispose() => _zstd?.Dispose();

    // What is unpacked in one piece is its own window, so a peer cannot make the decompressor allocate one, whatever its frame says.
    private static bool TryUnwrap(Decompressor zstd, ReadOnlySpan<byte> packed, Span<byte> pages)
    {
        try
        {
            return zstd.TryUnwrap(packed, pages, out int written) && written == pages.Length;
        }
        catch (ZstdException)
        {
            // These are no frames; only too little room is an answer and not an exception.
            return false;
        }
    }

    // Whether a Brotli stream says that its window is 2^21 bytes at most (RFC 7932, 9.1): the decoder allocates what it says, up to 16 MiB.
    // Bit 0 is clear for 2^16. Behind it, three bits n that are not 0 are 2^(17 + n), and 0 leads to sizes of 2^17 and less.
    private static bool HasSmallWindow(ReadOnlySpan<byte> packed) =>
        packed is [var first, ..] && ((first & 1) == 0 || ((first >> 1) & 7) + 17 <= BrotliWindowBits);
}
