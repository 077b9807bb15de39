using System.Runtime.InteropServices;

namespace MigrationD.Daemon.Interop;

/// <summary>What files need of the C library that .NET does not offer. Thin: no policy in here.</summary>
internal static class Libc
{
    /// <summary>open(2); its third argument is for files that it makes, and it makes none here.</summary>
    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    /// <summary>close(2).</summary>
    [DllImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern int Close(int descriptor);

    /// <summary>fsync(2).</summary>
    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern int Synchronize(int descriptor);

    /// <summary>
    /// write(2), from the first byte of <paramref name="count"/>, which has to be a reference into as many. It is pinned for the call; the
    /// kernel reads as many bytes as it is told and keeps none.
    /// </summary>
    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern nint Write(int descriptor, in byte bytes, nint count);
}
