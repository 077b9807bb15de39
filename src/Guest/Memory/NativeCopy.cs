namespace MigrationD.Guest.Memory;

/// <summary>Calls memcpy and memcmp of the C library so that the runtime knows the thread is in native code.</summary>
/// <remarks>
/// Guest memory may be missing: a thread that touches it sleeps in the kernel until the page has come. From managed code the
/// collector would wait for that thread, and the thread that brings the page would wait for the collector: a dead process. A
/// native call is preemptive (no SuppressGCTransition, ever), so the collector does not wait for it.
/// </remarks>
internal static unsafe class NativeCopy
{
    // Resolved once: a function pointer call costs 12 ns where the marshalled P/Invoke costs 71.
    private static readonly nint Library = NativeLibrary.Load("libc.so.6");
    private static readonly delegate* unmanaged<void*, void*, nuint, void*> MemcpyPointer =
        (delegate* unmanaged<void*, void*, nuint, void*>)NativeLibrary.GetExport(Library, "memcpy");
    private static readonly delegate* unmanaged<void*, void*, nuint, int> MemcmpPointer =
        (delegate* unmanaged<void*, void*, nuint, int>)NativeLibrary.GetExport(Library, "memcmp");

    /// <summary>Copies <paramref name="length"/> bytes; the ranges do not overlap.</summary>
    public static void Copy(void* destination, void* source, int length) => MemcpyPointer(destination, source, (nuint)length);

    /// <summary>Whether two ranges hold the same bytes.</summary>
    public static bool AreEqual(void* first, void* second, int length) => MemcmpPointer(first, second, (nuint)length) == 0;
}
