using System.Runtime.InteropServices;

namespace MigrationD.Protocol.Lanes.Interop;

/// <summary>poll(2) on one descriptor, for reading and writing at once, which Socket.Poll cannot ask.</summary>
/// <remarks>
/// Safety: the SafeHandle is held by a reference of its own for the length of the call; the structure lies on the stack.
/// </remarks>
internal static unsafe partial class Poll
{
    /// <summary>Waits. Returns the ready events (errors and hang-ups count as asked for), 0 when the time is over, or -errno.</summary>
    public static int Wait(SafeHandle socket, Readiness wanted, int timeoutMilliseconds)
    {
        short events = (short)wanted;
        bool held = false;
        try
        {
            socket.DangerousAddRef(ref held);
            var entry = new Entry { Descriptor = (int)socket.DangerousGetHandle(), Events = events };
            int ready = PollOne(&entry, 1, timeoutMilliseconds);
            return ready < 0 ? -Marshal.GetLastPInvokeError()
                : ready == 0 ? 0
                : (entry.Returned & events) != 0 ? entry.Returned & events
                : events;
        }
        finally
        {
            if (held)
            {
                socket.DangerousRelease();
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int PollOne(Entry* entries, nuint count, int timeoutMilliseconds);

    /// <summary>struct pollfd.</summary>
    private struct Entry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}

/// <summary>What a transport can do without waiting: POLLIN and POLLOUT.</summary>
[Flags]
internal enum Readiness : short
{
    None = 0,
    Readable = 1,
    Writable = 4,
}
