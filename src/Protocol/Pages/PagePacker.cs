using System.IO.Compression;
using MigrationD.Protocol.V1;
using ZstdSharp;

namespace MigrationD.Protocol.Pages;

/// <summary>Packs pages one way. Used by one thread at a time; allocates nothing managed.</summary>
public sealed class PagePacker : IDisposable
{
    // Negative levels are hardly faster and leave a fifth more; Brotli's next is half as fast.
    private const int ZstdLevel = 1;
    private const int BrotliQuality = 0;

    private readonly Compressor? _zstd;

    /// <summary>Makes a packer for one of <see cref="PageCompressions.Known"/>.</summary>
    /// <exception cref="ArgumentException">This program does not know it.</exception>
    public PagePacker(PageCompression compression)
    {
        PageCompressions.RefuseUnlessKnown(compression);
        _zstd = compression == PageCompression.Zstd ? new Compressor(ZstdLevel) : null;
    }

    /// <summary>
    /// Packs at most 2 MiB of pages that nobody changes meanwhile. Returns the bytes written; 0 when they are more than fit.
    /// </summary>
    public int Pack(ReadOnlySpan<byte> pages, Span<byte> into) =>
        _zstd is { } zstd
            ? zstd.TryWrap(pages, into, out int length) ? length : 0
            : BrotliEncoder.TryCompress(pages, into, out int written, BrotliQuality, PageUnpacker.BrotliWindowBits) ? written : 0;

    /// <summary>Frees the compressor.</summary>
    public void Dispose() => _zstd?.Dispose();
}
