namespace MigrationD.Daemon.Doctor;

/// <summary>
/// Whether the daemon may raise the priority of the threads that serve page faults. Measured: without it the 99th percentile of a
/// fault under bulk load is ten times longer.
/// </summary>
internal static class ThreadPriorityCheck
{
    private const string Name = "thread priority";

    /// <summary>RLIMIT_NICE is 20 - nice: this permits nice -15 (getrlimit(2)).</summary>
    private const ulong EnoughNice = 35;

    private const string Remedy =
        "in the unit: AmbientCapabilities=CAP_SYS_NICE, or LimitRTPRIO=50 and LimitNICE=-15; in a container: --cap-add SYS_NICE";

    public static DoctorFinding Run() => Judge(HostFile.TryRead("/proc/self/limits"), HostFile.TryRead("/proc/self/status"));

    /// <summary>Judges the texts of /proc/self/limits and /proc/self/status.</summary>
    public static DoctorFinding Judge(string? limits, string? status)
    {
        if (ProcessCapabilities.Has(status, ProcessCapabilities.SysNice))
        {
            return new(Name, DoctorStatus.Ok, "CAP_SYS_NICE: real-time and nice priorities are permitted");
        }

        var realTime = ProcessLimits.Soft(limits, "Max realtime priority") ?? 0;
        var nice = ProcessLimits.Soft(limits, "Max nice priority") ?? 0;
        if (realTime > 0)
        {
            return new(Name, DoctorStatus.Ok, $"real-time priorities up to {realTime} are permitted (RLIMIT_RTPRIO)");
        }

        return nice >= EnoughNice
            ? new(Name, DoctorStatus.Ok, "nice -15 is permitted (RLIMIT_NICE)")
            : new(Name, DoctorStatus.Warning,
                "no CAP_SYS_NICE, RLIMIT_RTPRIO 0 and RLIMIT_NICE too low: page faults wait behind other threads when the host is busy",
                    Remedy);
    }
}
