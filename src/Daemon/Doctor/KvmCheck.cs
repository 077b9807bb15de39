using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;

namespace MigrationD.Daemon.Doctor;

/// <summary>A usable /dev/kvm. Without it guests of kind workload can still migrate.</summary>
internal static class KvmCheck
{
    private const string Name = "kvm";
    private const string Without = "no guests of kind kvm, only workload";

    public static DoctorFinding Run() => Judge(KvmProbe.Query());

    public static DoctorFinding Judge(KvmProbeResult kvm)
    {
        if (kvm.IsUsable)
        {
            return new(Name, DoctorStatus.Ok,
                kvm.IsNested ? "/dev/kvm is usable (this host is a virtual machine itself)" : "/dev/kvm is usable");
        }

        if (!kvm.CanOpen)
        {
            return new(Name, DoctorStatus.Warning, $"{kvm.OpenMessage}: {Without}", kvm.OpenError is Errno.EACCES or Errno.EPERM
                ? "add the user to the group kvm: usermod -aG kvm USER, then log in again; in the unit: SupplementaryGroups=kvm and "
                    + "DeviceAllow=/dev/kvm rw"
                : "modprobe kvm_intel (or kvm_amd); switch virtualization on in the firmware, or nested virtualization in the host of "
                    + "this VM; in a container add '--device /dev/kvm'");
        }

        var lacks = kvm.MissingCapabilities.Count > 0
            ? $"lacks {string.Join(", ", kvm.MissingCapabilities)}"
            : $"has API version {kvm.ApiVersion}";
        return new(Name, DoctorStatus.Warning, $"/dev/kvm {lacks}: {Without}", "run Linux 5.14 or newer on the hardware itself");
    }
}
