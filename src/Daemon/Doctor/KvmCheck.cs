namespace MigrationD.Daemon.Doctor;

/// <summary>A usable /dev/kvm. Without it guests of kind workload can still migrate.</summary>
internal sealed class KvmCheck : IDoctorCheck
{
    private const string Name = "kvm";
    private const string Device = "/dev/kvm";

    /// <inheritdoc/>
    public DoctorFinding Run()
    {
        try
        {
            using var handle = File.OpenHandle(Device, FileMode.Open, FileAccess.ReadWrite);
            return Judge(null);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return Judge(error);
        }
    }

    /// <summary>Judges what opening the device came to; null when it opened.</summary>
    public static DoctorFinding Judge(Exception? failure) => failure switch
    {
        null => new(Name, DoctorStatus.Ok, $"{Device} opens"),
        UnauthorizedAccessException => new(Name, DoctorStatus.Warning, $"{Device} does not open (permission denied): no guests of kind kvm",
            "add the user to the group kvm: usermod -aG kvm USER, then log in again; in the unit: SupplementaryGroups=kvm"),
        _ => new(Name, DoctorStatus.Warning, $"{Device} does not open ({failure.Message}): no guests of kind kvm",
            "modprobe kvm_intel (or kvm_amd); switch virtualization on in the firmware, or nested virtualization in the host of this VM; "
            + "in a container add '--device /dev/kvm'"),
    };
}
