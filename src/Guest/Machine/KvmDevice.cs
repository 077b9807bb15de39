using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Machine;

/// <summary>/dev/kvm: what this host's KVM can do, and where virtual machines come from.</summary>
internal sealed unsafe class KvmDevice : KvmObject
{
    public const string Path = "/dev/kvm";

    /// <summary>The only version that KVM has had since Linux 2.6.22.</summary>
    public const int ApiVersion = 12;

    private const int MaxEntries = 512;

    private KvmDevice(SafeFileHandle device)
        : base(device)
    {
    }

    /// <exception cref="SystemCallException">The device cannot be opened.</exception>
    public static KvmDevice Open()
    {
        int descriptor = Libc.OpenDescriptor(Path, Libc.OpenReadWrite | Libc.CloseOnExec);
        return descriptor >= 0
            ? new KvmDevice(new SafeFileHandle(descriptor, ownsHandle: true))
            : throw SystemCallException.FromLast($"open {Path}");
    }

    public int GetApiVersion() => Call(KvmRequest.GetApiVersion, 0);

    /// <summary>KVM_CHECK_EXTENSION: 0 when absent, otherwise a number that depends on the capability.</summary>
    public int Check(KvmCapability capability) => Call(KvmRequest.CheckExtension, (nuint)capability);

    public SafeFileHandle CreateVm() => new(Call(KvmRequest.CreateVm, 0), ownsHandle: true);

    /// <summary>Size of the area that a vCPU shares with its process.</summary>
    public int GetVcpuMmapSize() => Call(KvmRequest.GetVcpuMmapSize, 0);

    /// <summary>The MSRs that have to be saved and restored on this host.</summary>
    public uint[] GetMsrIndexes()
    {
        // struct kvm_msr_list: the number of entries, then as many indexes.
        uint* list = stackalloc uint[1 + MaxEntries];
        list[0] = MaxEntries;
        Call(KvmRequest.GetMsrIndexList, list);
        return new ReadOnlySpan<uint>(list + 1, (int)list[0]).ToArray();
    }

    /// <summary>The CPUID leaves and features that this host can give to a guest.</summary>
    public KvmCpuidEntry[] GetSupportedCpuid()
    {
        var entries = new KvmCpuidEntry[MaxEntries];
        _ = CallList<KvmCpuidEntry>(KvmRequest.GetSupportedCpuid, entries, out int count);
        return entries[..count];
    }
}
