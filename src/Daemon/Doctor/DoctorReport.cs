namespace MigrationD.Daemon.Doctor;

/// <summary>
/// What all checks found. Each looks at one thing that migrations need; what the host lacks is a finding, and never thrown.
/// </summary>
internal sealed record DoctorReport(IReadOnlyList<DoctorFinding> Findings)
{
    /// <summary>Whether guests can migrate from and to this host; warnings do not prevent that.</summary>
    public bool CanMigrate => Findings.All(finding => finding.Status != DoctorStatus.Missing);

    /// <summary><c>ok</c>, <c>warnings</c> or <c>failed</c>.</summary>
    public string Verdict =>
        !CanMigrate ? "failed" : Findings.All(finding => finding.Status == DoctorStatus.Ok) ? "ok" : "warnings";

    /// <summary>Looks at this host, as this user.</summary>
    public static DoctorReport OfThisHost() => new(
    [
        KernelVersionCheck.Run(), UserfaultfdCheck.Run(), UserfaultfdFeaturesCheck.Run(), KvmCheck.Run(), TransparentHugePageCheck.Run(),
        HugePageDefragCheck.Run(), MemlockCheck.Run(), ThreadPriorityCheck.Run(),
    ]);
}

/// <summary>What one check found.</summary>
/// <param name="Name">What was looked at.</param>
/// <param name="Status">How it stands.</param>
/// <param name="Found">What was found, as a person reads it.</param>
/// <param name="Remedy">The command or setting that mends it; null when there is nothing to mend.</param>
internal sealed record DoctorFinding(string Name, DoctorStatus Status, string Found, string? Remedy = null);

/// <summary>What a check came to.</summary>
internal enum DoctorStatus
{
    /// <summary>As it should be.</summary>
    Ok = 0,

    /// <summary>Guests can migrate here, but slower or less of them than they could.</summary>
    Warning = 1,

    /// <summary>No guest can migrate here.</summary>
    Missing = 2,
}
