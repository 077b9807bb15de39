using System.Runtime.CompilerServices;

namespace MigrationD.Guest.Interop;

/// <summary>Threads as the kernel knows them, their ranks (sched(7)) and signals to them (sigaction(2), tgkill(2)).</summary>
internal static unsafe partial class Libc
{
    /// <summary>SCHED_FIFO of sched(7).</summary>
    public const int SchedulerFifo = 1;

    /// <summary>SCHED_RESET_ON_FORK of sched(7): what this thread starts is not raised with it.</summary>
    public const int SchedulerResetOnFork = 0x40000000;

    /// <summary>PRIO_PROCESS of setpriority(2); the id is a thread's, or 0 for the calling one.</summary>
    public const int PriorityOfProcess = 0;

    /// <summary>SA_SIGINFO: the handler is called with siginfo_t and ucontext_t.</summary>
    public const int SaSiginfo = 4;

    /// <summary>SA_RESTART: interrupted system calls that can be restarted are.</summary>
    public const int SaRestart = 0x10000000;

    [LibraryImport("libc", EntryPoint = "gettid")]
    public static partial int Gettid();

    [LibraryImport("libc", EntryPoint = "getpid")]
    public static partial int Getpid();

    [LibraryImport("libc", EntryPoint = "tgkill", SetLastError = true)]
    public static partial int Tgkill(int process, int thread, int signal);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    public static partial int SetScheduler(int thread, int policy, in SchedulerParameters parameters);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    public static partial int SetPriority(int which, int id, int nice);

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    public static partial int Sigaction(int signal, SignalAction* action, SignalAction* previous);

    /// <summary>struct sched_param.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct SchedulerParameters
    {
        public int Priority;
    }

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
    [InlineArray(16)]
    public struct SignalSet
    {
        private ulong _element;
    }
}
