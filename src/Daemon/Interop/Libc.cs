using System.Runtime.InteropServices;

[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]

namespace MigrationD.Daemon.Interop;

/// <summary>Calls of the C library that .NET does not offer. Thin: no policy in here.</summary>
internal static class Libc
{
    /// <summary>open(2); its third argument is for files that it makes, and it makes none here.</summary>
    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    public static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    /// <summary>close(2).</summary>
    [DllImport("libc", EntryPoint = "close")]
    public static extern int Close(int descriptor);

    /// <summary>fsync(2).</summary>
    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static extern int Synchronize(int descriptor);

    /// <summary>
    /// write(2), from the first byte of <paramref name="count"/>, which has to be a reference into as many. It is pinned for the call; the
    /// kernel reads as many bytes as it is told and keeps none.
    /// </summary>
    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    public static extern nint Write(int descriptor, in byte bytes, nint count);

    /// <summary>RLIMIT_NOFILE of getrlimit(2): the highest number of a descriptor, and one.</summary>
    public const int OpenFiles = 7;

    /// <summary>getrlimit(2).</summary>
    [DllImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    public static extern int GetLimit(int resource, out Limit limit);

    /// <summary>setrlimit(2).</summary>
    [DllImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    public static extern int SetLimit(int resource, in Limit limit);

    /// <summary>struct rlimit: what is in force, and up to where a process may raise that by itself.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}
