using Microsoft.Win32.SafeHandles;

namespace MigrationD.Protocol.Pages;

/// <summary>A ZSTD_DCtx; its memory is allocated once and used again.</summary>
internal sealed class ZstdDecompressor : SafeHandleZeroOrMinusOneIsInvalid
{
    /// <exception cref="OutOfMemoryException">There is no memory for it.</exception>
    public ZstdDecompressor()
        : base(ownsHandle: true)
    {
        SetHandle(Libzstd.ZSTD_createDCtx());
        if (IsInvalid)
        {
            throw new OutOfMemoryException("ZSTD_createDCtx: no memory");
        }
    }

    protected override bool ReleaseHandle() => Libzstd.ZSTD_freeDCtx(handle) == 0;
}
