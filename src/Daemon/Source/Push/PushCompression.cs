using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// How one migration packs what it pushes, over all its lanes, those after a lost link included, and what has come of it. Each push lane
/// packs for itself: it has a thread, and with it a packer, of its own.
/// </summary>
internal sealed class PushCompression(CompressMode mode)
{
    private volatile PageCompression _agreed;
    private long _pages;
    private long _saved;

    /// <summary>What packing has come to; null when pages go over as they are.</summary>
    public CompressionFigures? Figures => _agreed == PageCompression.None ? null : new CompressionFigures
    {
        Format = Words.Of(_agreed),
        PagesPacked = (ulong)Interlocked.Read(ref _pages),
        BytesSaved = (ulong)Interlocked.Read(ref _saved),
    };

    /// <summary>Agrees to what the destination has said that it can unpack.</summary>
    /// <exception cref="ArgumentException">It was not offered that.</exception>
    public void Agree(PageCompression compression)
    {
        if (compression != PageCompression.None && !Offer(mode).Contains(compression))
        {
            throw new ArgumentException(
                $"the destination wants pages packed as {compression}, which it was not offered", nameof(compression));
        }

        _agreed = compression;
    }

    /// <summary>Lists what to offer to a destination; nothing when nothing is to be packed.</summary>
    public static IReadOnlyList<PageCompression> Offer(CompressMode mode) => mode == CompressMode.Off ? [] : PageCompressions.Known;

    /// <summary>Makes the packer of one push lane; null when pages go over as they are.</summary>
    public BatchPacker? CreatePacker() => _agreed == PageCompression.None ? null : new BatchPacker(_agreed, mode, this);

    public void Count(int pages, long saved)
    {
        Interlocked.Add(ref _pages, pages);
        Interlocked.Add(ref _saved, saved);
    }
}
