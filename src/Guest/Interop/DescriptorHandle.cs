using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Owns one file descriptor (a userfaultfd, an eventfd, a pagemap) and closes it once nothing uses it any more.</summary>
internal sealed partial class DescriptorHandle : SafeHandle
{
    /// <summary>Takes <paramref name="descriptor"/> over.</summary>
    public DescriptorHandle(int descriptor)
        : base(invalidHandleValue: -1, ownsHandle: true) => SetHandle(descriptor);

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Close((int)handle) == 0;

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
