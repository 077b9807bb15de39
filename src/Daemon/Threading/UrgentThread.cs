using MigrationD.Daemon.Logging;
using MigrationD.Guest.Threads;

namespace MigrationD.Daemon.Threading;

/// <summary>Raises threads that a fault waits for: each of them does that first.</summary>
internal static class UrgentThread
{
    private static int _refusalLogged;

    /// <summary>Raises the calling thread; where that is not permitted, says so once, and faults take longer on a busy host.</summary>
    public static void Raise(ILogger logger)
    {
        if (!ThreadRank.TryRaiseToUrgent() && Interlocked.Exchange(ref _refusalLogged, 1) == 0)
        {
            DaemonLog.PriorityRefused(logger);
        }
    }
}
