using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Signal handlers (sigaction(2)). Thin: no policy in here.</summary>
internal static unsafe partial class Libc
{
    /// <summary>Call the handler with siginfo_t and ucontext_t.</summary>
    public const int SaSiginfo = 4;

    /// <summary>Restart interrupted system calls that can be restarted.</summary>
    public const int SaRestart = 0x10000000;

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    public static partial int Sigaction(int signal, SignalAction* action, SignalAction* previous);

    /// <summary>struct sigaction of the C library on x86-64 (the kernel's has another order; the library converts).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct SignalAction
    {
        public nint Handler;
        public SignalSet Mask;
        public int Flags;
        public nint Restorer;
    }

    /// <summary>sigset_t: 1024 bits.</summary>
    [System.Runtime.CompilerServices.InlineArray(16)]
    public struct SignalSet
    {
        private ulong _element;
    }
}
