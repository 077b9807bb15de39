using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Memory mapping (mmap(2), munmap(2), madvise(2)). Thin: no policy in here.</summary>
internal static partial class Libc
{
    public const nint MapFailed = -1;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Mmap(nint address, nuint length, MemoryProtection protection, MapFlags flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Munmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int Madvise(nint address, nuint length, MemoryAdvice advice);

    /// <summary>PROT_* of mmap(2).</summary>
    [Flags]
    public enum MemoryProtection
    {
        None = 0,
        Read = 1,
        Write = 2,
        Execute = 4,
    }

    /// <summary>MAP_* of mmap(2).</summary>
    [Flags]
    public enum MapFlags
    {
        Shared = 0x01,
        Private = 0x02,
        Fixed = 0x10,
        Anonymous = 0x20,
        NoReserve = 0x4000,
    }

    /// <summary>MADV_* of madvise(2).</summary>
    public enum MemoryAdvice
    {
        DontNeed = 4,
        DontFork = 10,
        HugePage = 14,
        NoHugePage = 15,
        DontDump = 16,
        PopulateRead = 22,
        PopulateWrite = 23,
        Collapse = 25,
    }
}
