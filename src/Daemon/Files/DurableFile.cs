using System.Runtime.InteropServices;
using MigrationD.Daemon.Interop;

namespace MigrationD.Daemon.Files;

/// <summary>Writes files that are whole or not there, whenever the host loses its power (rename(2), fsync(2)).</summary>
internal static class DurableFile
{
    /// <summary>What a file is called while it is written.</summary>
    public const string UnfinishedSuffix = ".new";

    // asm-generic/fcntl.h; the same on every architecture that .NET runs on.
    private const int ReadOnlyCloseOnExec = 0x80000;

    /// <summary>
    /// Puts a file there, in the place of another if that is allowed. The file lasts when <see cref="FlushFolder"/> has returned. Its mode
    /// is less what the process's umask takes away; null for what that leaves of 0666.
    /// </summary>
    /// <exception cref="IOException">
    /// The system refused, or there is one already; what was there before is still there, and nothing of this one.
    /// </exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content, UnixFileMode? mode = null, bool replace = true)
    {
        string unfinished = path + UnfinishedSuffix;
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0, UnixCreateMode = mode };

        // A process that was killed may have left it, perhaps for others to read.
        File.Delete(unfinished);
        var file = new FileStream(unfinished, options);
        try
        {
            using (file)
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }

            File.Move(unfinished, path, replace);
        }
        catch (Exception error)
        {
            TryDelete(unfinished);

            // .NET makes this of EFBIG, a limit of the file system or of the process.
            if (error is ArgumentOutOfRangeException)
            {
                throw new IOException(error.Message, error);
            }

            throw;
        }
    }

    /// <summary>Makes what was written, renamed and deleted in a folder last.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void FlushFolder(string folder)
    {
        int descriptor = Libc.Open(folder, ReadOnlyCloseOnExec);
        if (descriptor < 0)
        {
            throw new IOException($"open {folder}: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        int result = Libc.Synchronize(descriptor);
        string error = Marshal.GetLastPInvokeErrorMessage();
        _ = Libc.Close(descriptor);
        if (result != 0)
        {
            throw new IOException($"fsync {folder}: {error}");
        }
    }

    private static void TryDelete(string unfinished)
    {
        try
        {
            File.Delete(unfinished);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Why it could not be written says more.
        }
    }
}
