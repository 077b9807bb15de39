using System.Net.Sockets;
using System.Runtime.InteropServices;
using MigrationD.Daemon.Interop;

namespace MigrationD.Daemon.Security;

/// <summary>
/// Says who may use the control socket: root, the daemon's own user, and the members of the socket's group. The socket's mode says the
/// same; this holds as well when somebody changes the mode, or passes an open connection on.
/// </summary>
/// <param name="group">The number of the socket's group.</param>
internal sealed class ControlCallers(uint group)
{
    // SOL_SOCKET, SO_PEERCRED and SO_PEERGROUPS of asm-generic/socket.h (unix(7), socket(7)).
    private const int SocketLevel = 1;
    private const int PeerCredentials = 17;
    private const int PeerGroups = 59;
    private const int MostGroups = 65536;

    private readonly uint _self = EffectiveUser();

    /// <summary>Admits operators by the name of their group; null for the daemon's own.</summary>
    /// <exception cref="IOException">There is no such group.</exception>
    public static ControlCallers Of(string? group)
    {
        if (group is null)
        {
            return new ControlCallers(EffectiveGroup());
        }

        return UnixGroup.TryFind(group, out uint id)
            ? new ControlCallers(id)
            : throw new IOException($"let group {group} use the control socket: there is no such group on this host");
    }

    /// <summary>Describes a refused caller; null for a welcome one.</summary>
    public string? Refuse(Socket connection)
    {
        // struct ucred: pid, uid, gid.
        Span<byte> credentials = stackalloc byte[12];
        connection.GetRawSocketOption(SocketLevel, PeerCredentials, credentials);
        int process = MemoryMarshal.Read<int>(credentials);
        uint user = MemoryMarshal.Read<uint>(credentials[4..]);
        uint primary = MemoryMarshal.Read<uint>(credentials[8..]);
        return user == 0 || user == _self || primary == group || IsMember(connection)
            ? null
            : $"process {process} of user {user}";
    }

    private bool IsMember(Socket connection)
    {
        byte[] groups = new byte[MostGroups * sizeof(uint)];
        int length = connection.GetRawSocketOption(SocketLevel, PeerGroups, groups);
        return MemoryMarshal.Cast<byte, uint>(groups.AsSpan(0, length)).Contains(group);
    }

    [DllImport("libc", EntryPoint = "geteuid")]
    private static extern uint EffectiveUser();

    [DllImport("libc", EntryPoint = "getegid")]
    private static extern uint EffectiveGroup();
}
