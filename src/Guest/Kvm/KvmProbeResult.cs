using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Kvm;

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
