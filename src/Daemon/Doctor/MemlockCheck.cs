namespace MigrationD.Daemon.Doctor;

/// <summary>How much memory the daemon may keep from being swapped: staging should never have to be read back from swap.</summary>
internal static class MemlockCheck
{
    private const string Name = "locked memory";

    /// <summary>Staging of all lanes and the uncounted rest with room to spare.</summary>
    private const ulong EnoughBytes = 64UL << 20;

    public static DoctorFinding Run() => Judge(HostFile.TryRead("/proc/self/limits"), HostFile.TryRead("/proc/self/status"));

    /// <summary>Judges the texts of /proc/self/limits and /proc/self/status.</summary>
    public static DoctorFinding Judge(string? limits, string? status)
    {
        if (ProcessCapabilities.Has(status, ProcessCapabilities.IpcLock))
        {
            return new(Name, DoctorStatus.Ok, "without limit (CAP_IPC_LOCK)");
        }

        return ProcessLimits.Soft(limits, "Max locked memory") switch
        {
            null => new(Name, DoctorStatus.Warning, "/proc/self/limits does not say", "check with 'ulimit -l'"),
            ulong.MaxValue => new(Name, DoctorStatus.Ok, "without limit"),
            >= EnoughBytes and var bytes => new(Name, DoctorStatus.Ok, new ByteSize((long)bytes).ToRoundedString()),
            { } bytes => new(Name, DoctorStatus.Warning,
                $"{new ByteSize((long)bytes).ToRoundedString()}: on a host that swaps, staging can be swapped out and page faults then "
                    + "wait for it",
                "in the unit: LimitMEMLOCK=infinity; for a shell: 'ulimit -l unlimited' as root"),
        };
    }
}
