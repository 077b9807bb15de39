using System.Runtime.InteropServices;

namespace MigrationD.Guest.Interop;

/// <summary>Scheduling of threads (sched_setscheduler(2), setpriority(2)). Thin: no policy in here.</summary>
internal static partial class Libc
{
    /// <summary>SCHED_FIFO of sched(7).</summary>
    public const int SchedulerFifo = 1;

    /// <summary>SCHED_RESET_ON_FORK of sched(7): what this thread starts is not raised with it.</summary>
    public const int SchedulerResetOnFork = 0x40000000;

    /// <summary>PRIO_PROCESS of setpriority(2); the id is a thread's, or 0 for the calling one.</summary>
    public const int PriorityOfProcess = 0;

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    public static partial int SetScheduler(int thread, int policy, in SchedulerParameters parameters);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    public static partial int SetPriority(int which, int id, int nice);

    /// <summary>struct sched_param.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct SchedulerParameters
    {
        public int Priority;
    }
}
