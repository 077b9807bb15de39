using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Doctor;

/// <summary>What the kernel's userfaultfd can do: MOVE is needed, THREAD_ID and WP_ASYNC are wanted.</summary>
internal static class UserfaultfdFeaturesCheck
{
    private const string Name = "userfaultfd features";

    public static DoctorFinding Run() => Judge(UserfaultfdProbe.Query());

    public static DoctorFinding Judge(UserfaultfdSupport support)
    {
        if (!support.CanOpen)
        {
            return new(Name, DoctorStatus.Missing, "unknown, as no userfaultfd opens", "mend 'userfaultfd' first");
        }

        var found = $"MOVE {YesNo(support.HasMove)}, THREAD_ID {YesNo(support.HasThreadId)}, WP_ASYNC {YesNo(support.HasWpAsync)}";
        if (!support.HasMove)
        {
            return new(Name, DoctorStatus.Missing, $"{found}; without MOVE no page gets to its place", "run Linux 6.8 or newer");
        }

        if (!support.HasThreadId)
        {
            return new(Name, DoctorStatus.Warning, $"{found}; without THREAD_ID blocktime cannot be told by vCPU",
                "run Linux 6.8 or newer");
        }

        return support.HasWpAsync
            ? new(Name, DoctorStatus.Ok, found)
            : new(Name, DoctorStatus.Warning, $"{found}; without WP_ASYNC the writes of a workload guest cannot be tracked",
                "run an x86-64 or arm64 kernel built with CONFIG_PTE_MARKER_UFFD_WP=y, 6.7 or newer");
    }

    private static string YesNo(bool has) => has ? "yes" : "no";
}
