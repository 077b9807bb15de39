using MigrationD.Guest.Interop;
using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Doctor;

/// <summary>A userfaultfd that also sees faults taken in the kernel (KVM's): by its device, or by its system call.</summary>
internal static class UserfaultfdCheck
{
    private const string Name = "userfaultfd";

    public static DoctorFinding Run() => Judge(UserfaultfdProbe.Query());

    public static DoctorFinding Judge(UserfaultfdSupport support)
    {
        if (support.Device == Errno.None)
        {
            return new(Name, DoctorStatus.Ok, "/dev/userfaultfd opens");
        }

        var device = $"/dev/userfaultfd does not open ({support.Device})";
        if (support.SystemCall == Errno.None)
        {
            return new(Name, DoctorStatus.Ok, $"{device}, but the system call works");
        }

        return new(Name, DoctorStatus.Missing, $"{device}, and the system call is refused ({support.SystemCall})", support.Device switch
        {
            Errno.ENOENT => "run a kernel built with CONFIG_USERFAULTFD=y (6.1 or newer for the device); in a container add "
                + "'--device /dev/userfaultfd'",
            Errno.EACCES or Errno.EPERM =>
                "give the daemon's group access: echo 'KERNEL==\"userfaultfd\", GROUP=\"migrationd\", MODE=\"0660\"' > "
                + "/etc/udev/rules.d/60-migrationd.rules && udevadm trigger /dev/userfaultfd; in a unit: DeviceAllow=/dev/userfaultfd rw",
            _ => "run as root to see whether it is a matter of permission, and look at 'dmesg'",
        });
    }
}
