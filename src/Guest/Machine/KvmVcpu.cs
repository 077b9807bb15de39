using Microsoft.Win32.SafeHandles;
using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Machine;

/// <summary>A vCPU of KVM: its descriptor and the area it shares with this process.</summary>
internal sealed unsafe class KvmVcpu : IDisposable
{
    private const int MsrHeader = 8;

    private readonly SafeFileHandle _vcpu;
    private readonly nuint _runSize;
    private KvmRun* _run;

    /// <summary>Takes over a descriptor from KVM_CREATE_VCPU.</summary>
    public KvmVcpu(SafeFileHandle vcpu, int mmapSize)
    {
        _vcpu = vcpu;
        _runSize = (nuint)mmapSize;
        nint address = Libc.MmapDevice(
            0, _runSize, Libc.MemoryProtection.Read | Libc.MemoryProtection.Write, Libc.MapFlags.Shared, vcpu, 0);
        if (address == Libc.MapFailed)
        {
            throw SystemCallException.FromLast($"mmap length=0x{mmapSize:x} of a vCPU");
        }

        _run = (KvmRun*)address;
    }

    /// <summary>
    /// The shared area. It is the kernel's memory and always there, so managed code may touch it; the exit fields belong to the
    /// thread that runs the vCPU.
    /// </summary>
    public ref KvmRun Exit => ref *_run;

    /// <summary>The bytes of an IO exit: <c>IoCount</c> times <c>IoSize</c>.</summary>
    public Span<byte> IoData => new((byte*)_run + _run->IoDataOffset, (int)_run->IoCount * _run->IoSize);

    /// <summary>The bytes of an MMIO exit, at most 8.</summary>
    public Span<byte> MmioData => new(&_run->MmioData, (int)_run->MmioLength);

    /// <summary>While it is set, <see cref="Run"/> finishes what is pending and comes back at once, without guest code.</summary>
    public bool ImmediateExit
    {
        set => Volatile.Write(ref _run->ImmediateExit, value ? (byte)1 : (byte)0);
    }

    /// <summary>KVM_RUN.</summary>
    /// <returns><see cref="Errno.None"/> when there is an exit to handle; <see cref="Errno.EINTR"/> after a signal.</returns>
    public Errno Run() => Libc.KvmIoctl(_vcpu, (nuint)KvmRequest.Run, null) >= 0 ? Errno.None : SystemCallException.LastError;

    /// <summary>A structure of the vCPU.</summary>
    public T Get<T>(KvmRequest request)
        where T : unmanaged
        => KvmIoctl.Get<T>(_vcpu, request);

    /// <summary>Sets a structure of the vCPU.</summary>
    public void Set<T>(KvmRequest request, T value)
        where T : unmanaged
        => KvmIoctl.Set(_vcpu, request, value);

    /// <summary>A structure of the vCPU that is only carried.</summary>
    public byte[] GetBytes(KvmRequest request) => KvmIoctl.GetBytes(_vcpu, request);

    /// <summary>Sets a structure of the vCPU that was carried.</summary>
    public void SetBytes(KvmRequest request, ReadOnlySpan<byte> value) => KvmIoctl.SetBytes(_vcpu, request, value);

    /// <summary>Frequency of the guest's TSC, in kHz.</summary>
    public uint GetTscKhz() => (uint)KvmIoctl.Value(_vcpu, KvmRequest.GetTscKhz, 0);

    /// <summary>Sets the frequency of the guest's TSC.</summary>
    /// <returns>False when the hardware cannot scale.</returns>
    public bool TrySetTscKhz(uint khz) => Libc.KvmIoctlValue(_vcpu, (nuint)KvmRequest.SetTscKhz, khz) >= 0;

    /// <summary>What CPUID shows to the guest. Before the first run and before any other state.</summary>
    public void SetCpuid(ReadOnlySpan<KvmCpuidEntry> entries)
    {
        byte[] buffer = new byte[8 + (entries.Length * sizeof(KvmCpuidEntry))];
        fixed (byte* pointer = buffer)
        {
            *(uint*)pointer = (uint)entries.Length;
            entries.CopyTo(new Span<KvmCpuidEntry>(pointer + 8, entries.Length));
            KvmIoctl.Call(_vcpu, KvmRequest.SetCpuid2, pointer);
        }
    }

    /// <summary>The FPU and vector state: as many bytes as KVM_CAP_XSAVE2 says, at least 4096.</summary>
    public byte[] GetXsave(int size)
    {
        byte[] buffer = new byte[Math.Max(size, KvmIoctl.SizeOf(KvmRequest.GetXsave))];
        fixed (byte* pointer = buffer)
        {
            KvmIoctl.Call(_vcpu, size > 0 ? KvmRequest.GetXsave2 : KvmRequest.GetXsave, pointer);
        }

        return buffer;
    }

    /// <summary>Sets the FPU and vector state; the kernel reads as many bytes as <see cref="GetXsave"/> gives on this host.</summary>
    public void SetXsave(ReadOnlySpan<byte> state)
    {
        fixed (byte* pointer = state)
        {
            KvmIoctl.Call(_vcpu, KvmRequest.SetXsave, pointer);
        }
    }

    /// <summary>Reads MSRs.</summary>
    /// <returns>How many were read before one that KVM would not read; all when it is <c>entries.Length</c>.</returns>
    public int GetMsrs(Span<KvmMsrEntry> entries) => CallMsrs(KvmRequest.GetMsrs, entries);

    /// <summary>Writes MSRs.</summary>
    /// <returns>How many were written before one that KVM would not write; all when it is <c>entries.Length</c>.</returns>
    public int SetMsrs(Span<KvmMsrEntry> entries) => CallMsrs(KvmRequest.SetMsrs, entries);

    public void Dispose()
    {
        // The exit area goes after nobody runs the vCPU; the guest has ended its thread by now.
        KvmRun* run = _run;
        _run = null;
        if (run != null)
        {
            _ = Libc.Munmap((nint)run, _runSize);
        }

        _vcpu.Dispose();
    }

    private int CallMsrs(KvmRequest request, Span<KvmMsrEntry> entries)
    {
        // struct kvm_msrs: the number of entries, padding, then the entries.
        byte[] buffer = new byte[MsrHeader + (entries.Length * sizeof(KvmMsrEntry))];
        fixed (byte* pointer = buffer)
        {
            *(uint*)pointer = (uint)entries.Length;
            var inside = new Span<KvmMsrEntry>(pointer + MsrHeader, entries.Length);
            entries.CopyTo(inside);
            int done = KvmIoctl.Call(_vcpu, request, pointer);
            inside.CopyTo(entries);
            return done;
        }
    }
}
