using System.Runtime.InteropServices;

namespace MigrationD.Daemon.Guests;

/// <summary>Files that are whole or not there, whenever the host loses its power (rename(2), fsync(2)).</summary>
internal static class DurableFile
{
    /// <summary>What a file is called while it is written.</summary>
    public const string UnfinishedSuffix = ".new";

    // asm-generic/fcntl.h; the same on every architecture that .NET runs on.
    private const int ReadOnlyCloseOnExec = 0x80000;

    /// <summary>Puts a file there, or in the place of another. It lasts when <see cref="FlushFolder"/> has returned.</summary>
    /// <exception cref="IOException">The system refused; what was there before is still there.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string unfinished = path + UnfinishedSuffix;
        using (var file = new FileStream(unfinished, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }

        File.Move(unfinished, path, overwrite: true);
    }

    /// <summary>Makes what was written, renamed and deleted in a folder last.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void FlushFolder(string folder)
    {
        int descriptor = Open(folder, ReadOnlyCloseOnExec);
        if (descriptor < 0)
        {
            throw new IOException($"open {folder}: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        int result = Synchronize(descriptor);
        string error = Marshal.GetLastPInvokeErrorMessage();
        _ = Close(descriptor);
        if (result != 0)
        {
            throw new IOException($"fsync {folder}: {error}");
        }
    }

    // open(2) has a third argument for files that it makes; it makes none here.
    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Synchronize(int descriptor);

    [DllImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int descriptor);
}
