using System.Runtime.InteropServices;

namespace MigrationD.Daemon.Interop;

/// <summary>Finds groups of this host, wherever they are kept (getgrnam(3), chown(2)).</summary>
internal static class UnixGroup
{
    // struct group: char *gr_name, char *gr_passwd, gid_t gr_gid.
    private const int IdOffset = 16;

    private static readonly Lock Database = new();

    /// <summary>Finds the group's number.</summary>
    public static bool TryFind(string name, out uint id)
    {
        // The answer lies in memory that the next question overwrites.
        lock (Database)
        {
            nint group = GetGroup(name);
            id = group == 0 ? 0 : (uint)Marshal.ReadInt32(group, IdOffset);
            return group != 0;
        }
    }

    /// <summary>Gives a file to a group; its owner stays.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void SetGroup(string path, string group)
    {
        if (!TryFind(group, out uint id))
        {
            throw new IOException($"give {path} to group {group}: there is no such group on this host");
        }

        if (ChangeOwner(path, uint.MaxValue, id) != 0)
        {
            throw new IOException(
                $"give {path} to group {group}: {Marshal.GetLastPInvokeErrorMessage()}; the daemon's user has to be a member of it");
        }
    }

    [DllImport("libc", EntryPoint = "getgrnam")]
    private static extern nint GetGroup([MarshalAs(UnmanagedType.LPUTF8Str)] string name);

    [DllImport("libc", EntryPoint = "chown", SetLastError = true)]
    private static extern int ChangeOwner([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint owner, uint group);
}
