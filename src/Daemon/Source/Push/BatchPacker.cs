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
/// <param name="compression">The way that the destination can unpack.</param>
/// <param name="mode">Whether to choose, or to pack all that gets smaller.</param>
/// <param name="figures">Where to count.</param>
internal sealed class BatchPacker(PageCompression compression, CompressMode mode, PushCompression figures) : IDisposable
{
    private readonly CompressionChoice _choice = new(mode);
    private PagePacker? _packer;
    private byte[] _pages = [];
    private byte[] _packed = [];
    private double _packing;
    private int _packedLength;

    /// <summary>The way of those that are packed.</summary>
    public PageCompression Compression => compression;

    /// <summary>Packs a batch, or decides that it goes as it is.</summary>
    /// <param name="memory">The guest's.</param>
    /// <param name="page">The first page.</param>
    /// <param name="count">How many; at most 512.</param>
    /// <param name="packed">What to send; valid until the next call.</param>
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

    /// <summary>The batch has been sent.</summary>
    /// <param name="count">Pages in it.</param>
    /// <param name="sending">How long it waited for its turn and for the link.</param>
    public void Sent(int count, TimeSpan sending)
    {
        int bytes = count * GuestPage.Size;
        if (_packedLength != 0)
        {
            figures.Count(count, bytes - _packedLength);
        }

        _choice.Sent(bytes, _packedLength != 0 ? _packedLength : bytes, _packing, sending.TotalSeconds);
    }

    /// <summary>Frees what the packer has.</summary>
    public void Dispose() => _packer?.Dispose();
}
