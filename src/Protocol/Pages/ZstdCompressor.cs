using Microsoft.Win32.SafeHandles;

namespace MigrationD.Protocol.Pages;

/// <summary>A ZSTD_CCtx; its tables are allocated once and used again.</summary>
internal sealed class ZstdCompressor : SafeHandleZeroOrMinusOneIsInvalid
{
    /// <exception cref="OutOfMemoryException">There is no memory for it.</exception>
    public ZstdCompressor()
        : base(ownsHandle: true)
    {
        SetHandle(Libzstd.ZSTD_createCCtx());
        if (IsInvalid)
        {
            throw new OutOfMemoryException("ZSTD_createCCtx: no memory");
        }
    }

    protected override bool ReleaseHandle() => Libzstd.ZSTD_freeCCtx(handle) == 0;
}
