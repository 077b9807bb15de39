using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Interop;

/// <summary>Calls of the C library: descriptors and memory here, threads and signals in the other file. Thin: no policy in here.</summary>
internal static unsafe partial class Libc
{
    public const int OpenReadWrite = 0x2;
    public const int OpenReadOnly = 0x0;

    /// <summary>O_NONBLOCK, also UFFD_NONBLOCK and EFD_NONBLOCK.</summary>
    public const int NonBlocking = 0x800;

    /// <summary>O_CLOEXEC, also UFFD_CLOEXEC and EFD_CLOEXEC.</summary>
    public const int CloseOnExec = 0x80000;

    /// <summary>The number of userfaultfd(2) on x86-64 (asm/unistd_64.h).</summary>
    public const nint SystemCallUserfaultfd = 323;

    public const nint MapFailed = -1;

    // It has a third argument for files that it makes; it makes none here.
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int OpenDescriptor(string path, int flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint UserfaultfdSystemCall(nint number, nint flags);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventDescriptor(uint initial, int flags);

    // KVM_RUN sits in here for as long as the guest runs, and page faults of the guest wait in here: never SuppressGCTransition.
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle descriptor, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(SafeFileHandle descriptor, void* into, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(SafeFileHandle descriptor, void* from, nuint length);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PolledDescriptor* descriptors, nuint count, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Mmap(nint address, nuint length, MemoryProtection protection, MapFlags flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Munmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static partial int Mprotect(nint address, nuint length, MemoryProtection protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int Madvise(nint address, nuint length, MemoryAdvice advice);

    /// <summary>struct pollfd of poll(2).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PolledDescriptor
    {
        public int Descriptor;
        public PollEvents Wanted;
        public PollEvents Returned;
    }

    /// <summary>POLL* of poll(2).</summary>
    [Flags]
    public enum PollEvents : short
    {
        None = 0,
        In = 0x1,
        Error = 0x8,
        HangUp = 0x10,
        Invalid = 0x20,
    }

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
        PopulateWrite = 23,
        Collapse = 25,
    }
}
