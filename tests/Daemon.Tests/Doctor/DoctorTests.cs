using MigrationD.Daemon.Doctor;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Userfault;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Doctor;

public sealed class DoctorTests
{
    private const string Limits = """
        Limit                     Soft Limit           Hard Limit           Units     
        Max cpu time              unlimited            unlimited            seconds   
        Max locked memory         8388608              unlimited            bytes     
        Max nice priority         0                    0                    
        Max realtime priority     0                    0                    
        Max realtime timeout      unlimited            unlimited            us        
        """;

    private const string Unprivileged = "Name:\tmigrationd\nCapInh:\t0000000000000000\nCapEff:\t0000000000000000\n";
    private const string Root = "Name:\tmigrationd\nCapEff:\t000001ffffffffff\n";

    [Theory]
    [InlineData("6.8.0", nameof(DoctorStatus.Ok))]
    [InlineData("6.18.44-fc-v657\n", nameof(DoctorStatus.Ok))]
    [InlineData("6.12.43+deb13-amd64", nameof(DoctorStatus.Ok))]
    [InlineData("7.0-rc1", nameof(DoctorStatus.Ok))]
    [InlineData("6.7.12", nameof(DoctorStatus.Missing))]
    [InlineData("6.1.0-44-amd64", nameof(DoctorStatus.Missing))]
    [InlineData("5.15.0-91-generic", nameof(DoctorStatus.Missing))]
    [InlineData("", nameof(DoctorStatus.Warning))]
    [InlineData(null, nameof(DoctorStatus.Warning))]
    [InlineData("99999999999.1", nameof(DoctorStatus.Warning))]
    public void Kernel(string? release, string expected) => Expect(expected, KernelVersionCheck.Judge(release));

    [Theory]
    [InlineData(Errno.None, Errno.None, nameof(DoctorStatus.Ok), "opens")]
    [InlineData(Errno.EACCES, Errno.None, nameof(DoctorStatus.Ok), "system call works")]
    [InlineData(Errno.EACCES, Errno.EPERM, nameof(DoctorStatus.Missing), "EACCES")]
    [InlineData(Errno.ENOENT, Errno.ENOSYS, nameof(DoctorStatus.Missing), "ENOENT")]
    [InlineData(Errno.ENODEV, Errno.EPERM, nameof(DoctorStatus.Missing), "ENODEV")]
    public void Userfaultfd(Errno device, Errno systemCall, string expected, string found)
    {
        var finding = UserfaultfdCheck.Judge(new UserfaultfdSupport(device, systemCall, UserfaultfdFeatures.None));
        Expect(expected, finding);
        Assert.Contains(found, finding.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(UserfaultfdFeatures.Move | UserfaultfdFeatures.ThreadId | UserfaultfdFeatures.WpAsync, nameof(DoctorStatus.Ok))]
    [InlineData(UserfaultfdFeatures.Move | UserfaultfdFeatures.ThreadId, nameof(DoctorStatus.Warning))]
    [InlineData(UserfaultfdFeatures.Move | UserfaultfdFeatures.WpAsync, nameof(DoctorStatus.Warning))]
    [InlineData(UserfaultfdFeatures.ThreadId | UserfaultfdFeatures.WpAsync, nameof(DoctorStatus.Missing))]
    public void Userfaultfd_features(UserfaultfdFeatures features, string expected) =>
        Expect(expected, UserfaultfdFeaturesCheck.Judge(new UserfaultfdSupport(Errno.None, Errno.EPERM, features)));

    [Fact]
    public void Features_are_unknown_where_no_userfaultfd_opens() =>
        Expect(nameof(DoctorStatus.Missing), UserfaultfdFeaturesCheck.Judge(new(Errno.EACCES, Errno.EPERM, UserfaultfdFeatures.None)));

    [Fact]
    public void Kvm()
    {
        Expect("Ok", KvmCheck.Judge(new KvmProbeResult(true, null, null, 12, [], true, false)));
        Expect("Ok", KvmCheck.Judge(new KvmProbeResult(true, null, null, 12, [], false, true)));
        Remedy("usermod -aG kvm", new KvmProbeResult(false, Errno.EACCES, "open /dev/kvm: EACCES", 0, [], false, false));
        Remedy("modprobe", new KvmProbeResult(false, Errno.ENOENT, "open /dev/kvm: ENOENT", 0, [], false, false));
        Remedy("5.14", new KvmProbeResult(true, null, null, 12, ["Xsave"], true, false));
        Remedy("5.14", new KvmProbeResult(true, null, null, 11, [], true, false));

        static void Remedy(string expected, KvmProbeResult kvm)
        {
            var finding = KvmCheck.Judge(kvm);
            Assert.Equal(DoctorStatus.Warning, finding.Status);
            Assert.Contains(expected, finding.Remedy, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(null, nameof(DoctorStatus.Ok))]
    [InlineData(Errno.ENOENT, nameof(DoctorStatus.Ok))]
    [InlineData(Errno.ENODEV, nameof(DoctorStatus.Ok))]
    [InlineData(Errno.ENXIO, nameof(DoctorStatus.Ok))]
    [InlineData(Errno.EACCES, nameof(DoctorStatus.Missing))]
    [InlineData(Errno.EPERM, nameof(DoctorStatus.Missing))]
    public void A_host_is_well_without_kvm_but_not_with_a_kvm_that_is_shut(Errno? open, string expected)
    {
        var finding = NodeHealth.JudgeKvm(
            new KvmProbeResult(open is null, open, open is null ? null : $"open /dev/kvm: {open}", 12, [], true, false));
        Expect(expected, finding);
        Assert.Equal(expected == nameof(DoctorStatus.Missing), finding.Remedy is not null);
    }

    [Theory]
    [InlineData("always [madvise] never\n", nameof(DoctorStatus.Ok))]
    [InlineData("[always] madvise never\n", nameof(DoctorStatus.Ok))]
    [InlineData("always madvise [never]\n", nameof(DoctorStatus.Warning))]
    [InlineData(null, nameof(DoctorStatus.Warning))]
    [InlineData("garbage ]always[", nameof(DoctorStatus.Warning))]
    public void Huge_pages(string? text, string expected) => Expect(expected, TransparentHugePageCheck.Judge(text));

    [Theory]
    [InlineData("always defer defer+madvise [madvise] never\n", nameof(DoctorStatus.Ok))]
    [InlineData("always defer [defer+madvise] madvise never\n", nameof(DoctorStatus.Ok))]
    [InlineData("always [defer] defer+madvise madvise never\n", nameof(DoctorStatus.Warning))]
    [InlineData("always defer defer+madvise madvise [never]\n", nameof(DoctorStatus.Warning))]
    [InlineData(null, nameof(DoctorStatus.Warning))]
    public void Defrag(string? text, string expected) => Expect(expected, HugePageDefragCheck.Judge(text));

    [Fact]
    public void Limits_are_read_by_their_row()
    {
        Assert.Equal(8388608ul, ProcessLimits.Soft(Limits, "Max locked memory"));
        Assert.Equal(ulong.MaxValue, ProcessLimits.Soft(Limits, "Max cpu time"));
        Assert.Equal(0ul, ProcessLimits.Soft(Limits, "Max realtime priority"));
        Assert.Null(ProcessLimits.Soft(Limits, "Max realtime"));
        Assert.Null(ProcessLimits.Soft(null, "Max cpu time"));
        Assert.Null(ProcessLimits.Soft("Max cpu time", "Max cpu time"));
    }

    [Theory]
    [InlineData("8388608", Unprivileged, nameof(DoctorStatus.Warning))]
    [InlineData("67108864", Unprivileged, nameof(DoctorStatus.Ok))]
    [InlineData("unlimited", Unprivileged, nameof(DoctorStatus.Ok))]
    [InlineData("8388608", Root, nameof(DoctorStatus.Ok))]
    [InlineData("nonsense", null, nameof(DoctorStatus.Warning))]
    public void Memlock(string soft, string? status, string expected) =>
        Expect(expected, MemlockCheck.Judge(Limits.Replace("8388608", soft, StringComparison.Ordinal), status));

    [Theory]
    [InlineData("0", "0", Unprivileged, nameof(DoctorStatus.Warning))]
    [InlineData("50", "0", Unprivileged, nameof(DoctorStatus.Ok))]
    [InlineData("0", "35", Unprivileged, nameof(DoctorStatus.Ok))]
    [InlineData("0", "34", Unprivileged, nameof(DoctorStatus.Warning))]
    [InlineData("0", "0", Root, nameof(DoctorStatus.Ok))]
    [InlineData("0", "0", "CapEff:\t0000000000800000\n", nameof(DoctorStatus.Ok))]
    [InlineData("0", "0", "CapEff:\t00000000007fffff\n", nameof(DoctorStatus.Warning))]
    [InlineData("0", "0", "CapEff:\tnonsense\n", nameof(DoctorStatus.Warning))]
    public void Thread_priority(string realTime, string nice, string status, string expected) =>
        Expect(expected, ThreadPriorityCheck.Judge(
            $"Max nice priority         {nice}                    0\nMax realtime priority     {realTime}                    0\n", status));

    [Fact]
    public void The_verdict_is_that_of_the_worst_finding()
    {
        DoctorFinding ok = new("a", DoctorStatus.Ok, ""), warning = new("b", DoctorStatus.Warning, "", "mend"), missing = new("c",
            DoctorStatus.Missing, "", "mend");
        Assert.Equal(("ok", true), Verdict(ok, ok));
        Assert.Equal(("warnings", true), Verdict(ok, warning));
        Assert.Equal(("failed", false), Verdict(ok, warning, missing));

        static (string, bool) Verdict(params DoctorFinding[] findings)
        {
            var report = new DoctorReport(findings);
            return (report.Verdict, report.CanMigrate);
        }
    }

    [Fact]
    public void Each_check_of_this_host_has_a_name_of_its_own_and_a_remedy_unless_it_is_ok()
    {
        var findings = DoctorReport.OfThisHost().Findings;
        Assert.Equal(findings.Count, findings.Select(finding => finding.Name).Distinct().Count());
        Assert.All(findings, finding => Assert.Equal(finding.Status == DoctorStatus.Ok, finding.Remedy is null));
    }

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public void A_host_that_has_everything_needed_can_migrate()
    {
        var report = DoctorReport.OfThisHost();
        Assert.True(report.CanMigrate, string.Join('\n', report.Findings));
        Assert.Equal(DoctorStatus.Ok, report.Findings.Single(finding => finding.Name == "kvm").Status);
    }

    private static void Expect(string status, DoctorFinding finding)
    {
        Assert.Equal(status, finding.Status.ToString());
        Assert.Equal(finding.Status == DoctorStatus.Ok, finding.Remedy is null);
    }
}
