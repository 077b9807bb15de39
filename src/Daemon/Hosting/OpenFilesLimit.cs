using MigrationD.Daemon.Interop;

namespace MigrationD.Daemon.Hosting;

/// <summary>How many descriptors this process may have: connections of strangers, lanes and guests take some.</summary>
internal static class OpenFilesLimit
{
    /// <summary>
    /// Raises it as far as the process may by itself. A program that is compiled while it runs has that done by its runtime; a native one
    /// starts with what the shell or systemd gave it, most often 1024.
    /// </summary>
    /// <returns>Whether it is there now.</returns>
    public static bool TryRaise()
    {
        if (Libc.GetLimit(Libc.OpenFiles, out Libc.Limit limit) != 0)
        {
            return false;
        }

        limit.Soft = limit.Hard;
        return Libc.SetLimit(Libc.OpenFiles, in limit) == 0;
    }
}
