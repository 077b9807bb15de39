namespace MigrationD.Guest.Machine;

/// <summary>What KVM on this host can do for guests.</summary>
public static class KvmProbe
{
    private static readonly KvmCapability[] Needed =
    [
        KvmCapability.Irqchip, KvmCapability.UserMemory, KvmCapability.SetTssAddress, KvmCapability.ExtendedCpuid, KvmCapability.MpState,
        KvmCapability.Pit2, KvmCapability.PitState2, KvmCapability.AdjustClock, KvmCapability.VcpuEvents, KvmCapability.DebugRegisters,
        KvmCapability.Xsave, KvmCapability.Xcrs, KvmCapability.GetTscKhz, KvmCapability.ImmediateExit, KvmCapability.SpecialRegisters2,
    ];

    /// <summary>Looks at /dev/kvm. Changes nothing, and never throws because something is missing.</summary>
    public static KvmProbeResult Query()
    {
        try
        {
            using KvmDevice device = KvmDevice.Open();
            return new KvmProbeResult(
                true, null, null, device.GetApiVersion(), FindMissing(device), device.Check(KvmCapability.TscControl) > 0, IsNested());
        }
        catch (SystemCallException error)
        {
            return new KvmProbeResult(false, error.Error, error.Message, 0, [], false, IsNested());
        }
    }

    /// <summary>/dev/kvm, with everything that guests need.</summary>
    /// <exception cref="SystemCallException">It cannot be opened.</exception>
    /// <exception cref="NotSupportedException">It lacks something; the message says what.</exception>
    internal static KvmDevice OpenUsable()
    {
        KvmDevice device = KvmDevice.Open();
        try
        {
            if (device.GetApiVersion() is var version and not KvmDevice.ApiVersion)
            {
                throw new NotSupportedException($"{KvmDevice.Path} speaks API version {version}, expected {KvmDevice.ApiVersion}");
            }

            return FindMissing(device) is { Count: > 0 } missing
                ? throw new NotSupportedException(
                    $"{KvmDevice.Path} lacks {string.Join(", ", missing)}; Linux 5.14 or later has all of them on x86-64")
                : device;
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    private static List<string> FindMissing(KvmDevice device) =>
        [.. Needed.Where(capability => device.Check(capability) <= 0).Select(capability => capability.ToString())];

    /// <summary>Whether this host is itself a virtual machine: the "hypervisor" flag of its processor.</summary>
    private static bool IsNested()
    {
        try
        {
            string? flags = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal));
            return flags?.Contains(" hypervisor", StringComparison.Ordinal) == true;
        }
        catch (IOException)
        {
            // A hint is not worth an error.
            return false;
        }
    }
}

/// <summary>What <see cref="KvmProbe.Query"/> found.</summary>
/// <param name="CanOpen">Whether /dev/kvm can be opened for reading and writing.</param>
/// <param name="OpenError">Why not: ENOENT (no module or no support), EACCES (no permission); null when it can be opened.</param>
/// <param name="OpenMessage">The same as a sentence; null when it can be opened.</param>
/// <param name="ApiVersion">12 on every kernel since 2.6.22; 0 when it cannot be opened.</param>
/// <param name="MissingCapabilities">Names of capabilities that guests need and this KVM lacks.</param>
/// <param name="CanScaleTsc">Whether a guest can come from a host whose time stamp counter has another frequency.</param>
/// <param name="IsNested">Whether this host is a virtual machine itself, where KVM is slower.</param>
public sealed record KvmProbeResult(
    bool CanOpen,
    Errno? OpenError,
    string? OpenMessage,
    int ApiVersion,
    IReadOnlyList<string> MissingCapabilities,
    bool CanScaleTsc,
    bool IsNested)
{
    /// <summary>Whether KVM guests can run on this host.</summary>
    public bool IsUsable => CanOpen && ApiVersion == KvmDevice.ApiVersion && MissingCapabilities.Count == 0;
}
