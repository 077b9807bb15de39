using System.Diagnostics;
using System.Runtime.InteropServices;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes.Interop;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// Packs what one push lane sends, batch by batch, as far as that makes the transfer shorter. Used by the lane's thread; allocates what it
/// needs at the first batch that is packed, and nothing after that.
/// </summary>
internal sealed class BatchPacker(PageCompression compression, CompressMode mode, PushCompression figures) : IDisposable
{
    private readonly CompressionChoice _choice = new(mode);
    private PagePacker? _packer;
    private byte[] _pages = [];
    private byte[] _packed = [];
    private double _packing;
    private int _packedLength;

    /// <summary>The way in which batches are packed, which the destination can unpack.</summary>
    public PageCompression Compression => compression;

    /// <summary>
    /// Packs a batch of at most 512 pages, or decides that it goes as it is. <paramref name="packed"/> is valid until the next call.
    /// </summary>
    public bool TryPack(GuestMemory memory, long page, int count, out NativeBuffer packed)
    {
        packed = default;
        _packing = 0;
        _packedLength = 0;
        int bytes = count * GuestPage.Size;
        if (!_choice.ShouldPack(bytes))
        {
            return false;
        }

        long began = Stopwatch.GetTimestamp();
        if (_packer is null)
        {
            _packer = new PagePacker(compression);
            _pages = GC.AllocateUninitializedArray<byte>(GuestPage.BlockSize, pinned: true);
            _packed = GC.AllocateUninitializedArray<byte>(GuestPage.BlockSize, pinned: true);
        }

        // A copy: a guest in precopy writes meanwhile, and what is packed from two versions of a page may be none of any.
        Span<byte> copy = _pages.AsSpan(0, bytes);
        memory.Read(page * GuestPage.Size, copy);
        _packedLength = _packer.Pack(copy, _packed.AsSpan(0, bytes - (bytes / CompressionChoice.LeastSaving)));
        _packing = Stopwatch.GetElapsedTime(began).TotalSeconds;
        _choice.Packed(bytes, _packedLength == 0 ? bytes : _packedLength, _packing);
        packed = new NativeBuffer(Marshal.UnsafeAddrOfPinnedArrayElement(_packed, 0), _packedLength);
        return _packedLength != 0;
    }

    /// <summary>Counts a batch that has been sent, and how long it waited for its turn and for the link.</summary>
    public void Sent(int count, TimeSpan sending)
    {
        int bytes = count * GuestPage.Size;
        if (_packedLength != 0)
        {
            figures.Count(count, bytes - _packedLength);
        }

        _choice.Sent(bytes, _packedLength != 0 ? _packedLength : bytes, _packing, sending.TotalSeconds);
    }

    public void Dispose() => _packer?.Dispose();
}
