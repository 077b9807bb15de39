namespace MigrationD.Guest.Threads;

/// <summary>
/// Who goes first when the processors are busy, and on a host that is being emptied they are: threads that a waiting guest waits for, then
/// the control path, for a guest stands still while it works, and the push, for a guest is slow while it lasts; then guests.
/// </summary>
/// <remarks>
/// A thread starts with the nice value of the one that starts it, so the process raises itself once, early, and guests' threads step
/// back. Raising needs CAP_SYS_NICE, or LimitRTPRIO and LimitNICE; stepping back needs nothing.
/// </remarks>
public static class ThreadRank
{
    // The lowest real-time priority is above every ordinary thread, and below whatever the host itself runs in real time.
    private const int UrgentRealTimePriority = 1;
    private const int UrgentNice = -15;
    private const int ControlNice = -10;

    /// <summary>
    /// Raises one of the few threads that somebody waits for: SCHED_FIFO, or nice where only that is permitted; false when neither is. They
    /// sleep in the kernel nearly always, so they take the processor from nobody for long.
    /// </summary>
    public static bool TryRaiseToUrgent()
    {
        var parameters = new Libc.SchedulerParameters { Priority = UrgentRealTimePriority };
        return Libc.SetScheduler(0, Libc.SchedulerFifo | Libc.SchedulerResetOnFork, parameters) == 0 || TrySetNice(UrgentNice);
    }

    /// <summary>
    /// Raises the thread that starts everything else, before it does: the control path goes before guests. False when not permitted.
    /// </summary>
    public static bool TryRaiseToControl() => TrySetNice(ControlNice);

    /// <summary>Lowers a thread of a guest, or one that may take its time, to its rank, whatever thread started it.</summary>
    public static void StepBack() => _ = TrySetNice(0);

    /// <summary>Raises a guest's thread, by its kernel id, that is to stop at once, until it steps back.</summary>
    internal static void Hurry(int thread) => _ = Libc.SetPriority(Libc.PriorityOfProcess, thread, UrgentNice);

    private static bool TrySetNice(int nice) => Libc.SetPriority(Libc.PriorityOfProcess, 0, nice) == 0;
}
