namespace MigrationD.Guest;

/// <summary>What runs a guest.</summary>
public enum GuestKind
{
    /// <summary>A microVM on /dev/kvm with the built-in pulse guest.</summary>
    Kvm = 1,

    /// <summary>The same walk on host threads.</summary>
    Workload = 2,
}
