using System.Runtime.InteropServices;

namespace MigrationD.Protocol.Lanes.Interop;

/// <summary>sendmsg(2): sends from several places of memory, native memory among them, in one system call.</summary>
/// <remarks>
/// Why this and not Socket.Send: that takes spans, and a Span over guest RAM must not exist (see <see cref="NativeBuffer"/>).
/// Safety: the descriptor is a SafeHandle, so it stays open for the whole call even when another thread closes the socket. The
/// managed parts are pinned by their fixed statement, the vector and the header lie on the caller's stack, and the kernel writes to none
/// of them. The kernel reads the native part: an address that is not mapped gives EFAULT and no damage, and a page that is missing
/// makes the thread wait in native code, where the collector does not wait for it (no SuppressGCTransition). The structures are those
/// of 64-bit Linux.
/// </remarks>
internal static unsafe partial class SendMessage
{
    public const int Interrupted = 4;
    public const int TryAgain = 11;
    public const int BrokenPipe = 32;
    public const int TimedOut = 110;

    private const int NoSignal = 0x4000;
    private const int DontWait = 0x40;

    /// <summary>Sends as much of the three parts as one call takes. Returns the bytes sent, or -errno.</summary>
    public static nint Send(SafeHandle socket, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, NativeBuffer third, bool wait)
    {
        fixed (byte* firstPart = first)
        fixed (byte* secondPart = second)
        {
            // The kernel passes over parts without bytes.
            Vector* parts = stackalloc Vector[]
            {
                new Vector { Address = firstPart, Length = (nuint)first.Length },
                new Vector { Address = secondPart, Length = (nuint)second.Length },
                new Vector { Address = (void*)third.Address, Length = (nuint)third.Length },
            };
            var message = new Header { Parts = parts, PartCount = 3 };
            nint sent = Sendmsg(socket, &message, NoSignal | (wait ? 0 : DontWait));
            return sent >= 0 ? sent : -Marshal.GetLastPInvokeError();
        }
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint Sendmsg(SafeHandle socket, Header* message, int flags);

    /// <summary>struct iovec.</summary>
    private struct Vector
    {
        public void* Address;
        public nuint Length;
    }

    /// <summary>struct msghdr; the compiler pads after NameLength as C does.</summary>
    private struct Header
    {
        public void* Name;
        public uint NameLength;
        public Vector* Parts;
        public nuint PartCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
