using System.Runtime.InteropServices;

namespace MigrationD.Protocol.Lanes.Interop;

/// <summary>memcpy(3) out of native memory that managed code must not touch (see <see cref="NativeBuffer"/>).</summary>
/// <remarks>
/// Safety: the destination is pinned by its fixed statement, and <see cref="Copy"/> checks that it is at least as long as the source. The
/// source's owner keeps it mapped. A page of it may be missing: then the thread sleeps in the kernel, and as it is in native code, the
/// collector does not wait for it (no SuppressGCTransition, ever). Nor does a pinned object keep the collector from its work.
/// </remarks>
internal static unsafe partial class NativeMemcpy
{
    /// <summary>Copies all of <paramref name="source"/> to the start of <paramref name="destination"/>.</summary>
    public static void Copy(NativeBuffer source, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)source.Length, (uint)destination.Length, nameof(source));
        fixed (byte* start = destination)
        {
            Memcpy(start, (void*)source.Address, (nuint)source.Length);
        }
    }

    [LibraryImport("libc", EntryPoint = "memcpy")]
    private static partial void* Memcpy(void* destination, void* source, nuint length);
}
