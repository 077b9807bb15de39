using System.Net.Sockets;
using System.Runtime.InteropServices;
using MigrationD.Daemon.Interop;

namespace MigrationD.Daemon.Hosting.Doors;

/// <summary>The unix socket that operators speak to: claimed from a dead daemon, never from a living one, and removed at the end.</summary>
internal sealed class ControlSocket(string path) : IDisposable
{
    // asm-generic/fcntl.h: O_RDONLY | O_NONBLOCK | O_CLOEXEC. A pipe without a writer must not make this wait.
    private const int ReadOnlyNonBlockingCloseOnExec = 0x800 | 0x80000;

    // asm-generic/errno-base.h: ENXIO.
    private const int NoSuchDevice = 6;

    public string Path { get; } = path;

    /// <summary>Makes the path free to listen on.</summary>
    /// <exception cref="IOException">Another daemon listens there, or something is there that is no socket.</exception>
    public static ControlSocket Claim(string path)
    {
        try
        {
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
            if (File.Exists(path))
            {
                RefuseIfAlive(path);
                File.Delete(path);
            }
        }
        catch (UnauthorizedAccessException error)
        {
            throw new IOException(
                $"claim the control socket {path}: {error.Message}; run as a user who may write there, or choose another --control", error);
        }

        return new ControlSocket(path);
    }

    /// <summary>
    /// Lets the owner and the group in (null for the one that the file has) and nobody else: callers here may move and delete guests.
    /// </summary>
    /// <exception cref="IOException">The file cannot be given to that group.</exception>
    public void Protect(string? group)
    {
        if (group is not null)
        {
            UnixGroup.SetGroup(Path, group);
        }

        File.SetUnixFileMode(
            Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite);
    }

    public void Dispose() => File.Delete(Path);

    private static void RefuseIfAlive(string path)
    {
        // Only a socket that refuses connections is a leftover. Anything else that is there is somebody's.
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            return;
        }
        catch (SocketException error)
        {
            throw new IOException(
                $"claim the control socket {path}: what is there cannot be used ({error.Message}); remove it, or choose another --control",
                error);
        }

        throw new IOException($"claim the control socket {path}: a daemon listens there already; stop it, or choose another --control");
    }

    // A regular file refuses connections as well. Opened as a file, only a socket says ENXIO (open(2)).
    private static bool IsSocket(string path)
    {
        int descriptor = Libc.Open(path, ReadOnlyNonBlockingCloseOnExec);
        bool isSocket = descriptor < 0 && Marshal.GetLastPInvokeError() == NoSuchDevice;
        if (descriptor >= 0)
        {
            _ = Libc.Close(descriptor);
        }

        return isSocket;
    }
}
