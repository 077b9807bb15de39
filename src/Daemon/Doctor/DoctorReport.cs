namespace MigrationD.Daemon.Doctor;

/// <summary>What all checks found.</summary>
internal sealed record DoctorReport(IReadOnlyList<DoctorFinding> Findings)
{
    /// <summary>Whether guests can migrate from and to this host; warnings do not prevent that.</summary>
    public bool CanMigrate => Findings.All(finding => finding.Status != DoctorStatus.Missing);

    /// <summary><c>ok</c>, <c>warnings</c> or <c>failed</c>.</summary>
    public string Verdict =>
        !CanMigrate ? "failed" : Findings.All(finding => finding.Status == DoctorStatus.Ok) ? "ok" : "warnings";

    /// <summary>Looks at this host, as this user.</summary>
    public static DoctorReport OfThisHost() => new([.. Checks().Select(check => check.Run())]);

    private static IEnumerable<IDoctorCheck> Checks() =>
    [
        new KernelVersionCheck(),
        new UserfaultfdCheck(),
        new UserfaultfdFeaturesCheck(),
        new KvmCheck(),
        new TransparentHugePageCheck(),
        new HugePageDefragCheck(),
        new MemlockCheck(),
        new ThreadPriorityCheck(),
    ];
}
