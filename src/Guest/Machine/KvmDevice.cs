using Microsoft.Win32.SafeHandles;
using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Machine;

/// <summary>/dev/kvm: what this host's KVM can do, and where virtual machines come from.</summary>
internal sealed unsafe class KvmDevice : IDisposable
{
    public const string Path = "/dev/kvm";

    /// <summary>The only version that KVM has had since Linux 2.6.22.</summary>
    public const int ApiVersion = 12;

    private const int MaxEntries = 512;
    private readonly SafeFileHandle _device;

    private KvmDevice(SafeFileHandle device)
    {
        _device = device;
    }

    /// <summary>Opens the device.</summary>
    /// <exception cref="SystemCallException">It cannot be opened.</exception>
    public static KvmDevice Open()
    {
        int descriptor = Libc.OpenDescriptor(Path, Libc.OpenReadWrite | Libc.CloseOnExec);
        return descriptor >= 0
            ? new KvmDevice(new SafeFileHandle(descriptor, ownsHandle: true))
            : throw SystemCallException.FromLast($"open {Path}");
    }

    /// <summary>KVM_GET_API_VERSION.</summary>
    public int GetApiVersion() => KvmIoctl.Value(_device, KvmRequest.GetApiVersion, 0);

    /// <summary>KVM_CHECK_EXTENSION: 0 when absent, otherwise a number that depends on the capability.</summary>
    public int Check(KvmCapability capability) => KvmIoctl.Value(_device, KvmRequest.CheckExtension, (nuint)capability);

    /// <summary>KVM_CREATE_VM.</summary>
    public SafeFileHandle CreateVm() => new(KvmIoctl.Value(_device, KvmRequest.CreateVm, 0), ownsHandle: true);

    /// <summary>Size of the area that a vCPU shares with its process.</summary>
    public int GetVcpuMmapSize() => KvmIoctl.Value(_device, KvmRequest.GetVcpuMmapSize, 0);

    /// <summary>The MSRs that have to be saved and restored on this host.</summary>
    public uint[] GetMsrIndexes()
    {
        // struct kvm_msr_list: the number of entries, then as many indexes.
        uint* list = stackalloc uint[1 + MaxEntries];
        list[0] = MaxEntries;
        KvmIoctl.Call(_device, KvmRequest.GetMsrIndexList, list);
        return new ReadOnlySpan<uint>(list + 1, (int)list[0]).ToArray();
    }

    /// <summary>The CPUID leaves and features that this host can give to a guest.</summary>
    public KvmCpuidEntry[] GetSupportedCpuid()
    {
        // struct kvm_cpuid2: the number of entries, padding, then the entries.
        byte[] buffer = new byte[8 + (MaxEntries * sizeof(KvmCpuidEntry))];
        fixed (byte* list = buffer)
        {
            *(uint*)list = MaxEntries;
            KvmIoctl.Call(_device, KvmRequest.GetSupportedCpuid, list);
            return new ReadOnlySpan<KvmCpuidEntry>(list + 8, (int)*(uint*)list).ToArray();
        }
    }

    public void Dispose() => _device.Dispose();
}
