using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Opening, reading and waiting on a userfaultfd (userfaultfd(2), poll(2), eventfd(2)). Thin: no policy in here.</summary>
internal static unsafe partial class Libc
{
    /// <summary>O_RDWR of open(2).</summary>
    public const int OpenReadWrite = 0x2;

    /// <summary>O_RDONLY of open(2).</summary>
    public const int OpenReadOnly = 0x0;

    /// <summary>O_NONBLOCK, also UFFD_NONBLOCK and EFD_NONBLOCK.</summary>
    public const int NonBlocking = 0x800;

    /// <summary>O_CLOEXEC, also UFFD_CLOEXEC and EFD_CLOEXEC.</summary>
    public const int CloseOnExec = 0x80000;

    /// <summary>The number of userfaultfd(2) on x86-64 (asm/unistd_64.h).</summary>
    public const nint SystemCallUserfaultfd = 323;

    // It has a third argument for files that it makes; it makes none here.
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int OpenDescriptor(string path, int flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    public static partial nint UserfaultfdSystemCall(nint number, nint flags);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventDescriptor(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(DescriptorHandle descriptor, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(DescriptorHandle descriptor, void* into, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(DescriptorHandle descriptor, void* from, nuint length);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PolledDescriptor* descriptors, nuint count, int timeoutMilliseconds);

    /// <summary>struct pollfd of poll(2).</summary>
    [StructLayout(LayoutKind.Explicit, Size = 8)]
    public struct PolledDescriptor
    {
        [FieldOffset(0)]
        public int Descriptor;

        [FieldOffset(4)]
        public PollEvents Wanted;

        [FieldOffset(6)]
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
}
