using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Interop;

/// <summary>Devices and their ioctls as KVM uses them (ioctl(2), mmap(2)). Thin: no policy in here.</summary>
internal static unsafe partial class Libc
{
    // KVM_RUN sits in here for as long as the guest runs, and page faults of the guest wait in here: never SuppressGCTransition.
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int KvmIoctl(SafeFileHandle descriptor, nuint request, void* argument);

    // The same call for requests whose argument is the number itself.
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int KvmIoctlValue(SafeFileHandle descriptor, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint MmapDevice(
        nint address, nuint length, MemoryProtection protection, MapFlags flags, SafeFileHandle descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static partial int Mprotect(nint address, nuint length, MemoryProtection protection);
}
