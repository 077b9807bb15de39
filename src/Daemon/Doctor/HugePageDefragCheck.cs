namespace MigrationD.Daemon.Doctor;

/// <summary>Whether the kernel makes room for a huge page where the daemon asks for one (madvise).</summary>
internal static class HugePageDefragCheck
{
    private const string Name = "huge page defrag";
    private const string Setting = "/sys/kernel/mm/transparent_hugepage/defrag";

    public static DoctorFinding Run() => Judge(HostFile.TryRead(Setting));

    /// <summary>Judges the text of the kernel's setting, e.g. <c>always defer defer+madvise [madvise] never</c>.</summary>
    public static DoctorFinding Judge(string? text) => KernelChoice.Selected(text) switch
    {
        "always" or "madvise" or "defer+madvise" => new(Name, DoctorStatus.Ok, KernelChoice.Selected(text)!),
        { } other => new(Name, DoctorStatus.Warning, $"{other}: staging gets huge pages only while the host has some free",
            $"echo madvise > {Setting}"),
        null => new(Name, DoctorStatus.Warning, $"this kernel has no {Setting}", "run a kernel built with CONFIG_TRANSPARENT_HUGEPAGE=y"),
    };
}
