using Google.Protobuf;
using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Machine;

/// <summary>A vCPU of KVM: its descriptor and the area it shares with this process.</summary>
internal sealed unsafe class KvmVcpu : KvmObject
{
    private readonly nuint _runSize;
    private KvmRun* _run;

    /// <summary>Takes over a descriptor from KVM_CREATE_VCPU.</summary>
    public KvmVcpu(SafeFileHandle vcpu, int mmapSize)
        : base(vcpu)
    {
        _runSize = (nuint)mmapSize;
        nint address = Libc.Mmap(
            0,
            _runSize,
            Libc.MemoryProtection.Read | Libc.MemoryProtection.Write,
            Libc.MapFlags.Shared,
            (int)vcpu.DangerousGetHandle(),
            0);
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

    /// <summary>Makes <see cref="Run"/>, while it is set, finish what is pending and come back at once, without guest code.</summary>
    public bool ImmediateExit
    {
        set => Volatile.Write(ref _run->ImmediateExit, value ? (byte)1 : (byte)0);
    }

    /// <summary>KVM_RUN: <see cref="Errno.None"/> when there is an exit to handle, <see cref="Errno.EINTR"/> after a signal.</summary>
    public Errno Run() => TryCall(KvmRequest.Run, null) >= 0 ? Errno.None : SystemCallException.LastError;

    public uint GetTscKhz() => (uint)Call(KvmRequest.GetTscKhz, 0);

    /// <summary>Sets the frequency of the guest's TSC; false when the hardware cannot scale.</summary>
    public bool TrySetTscKhz(uint khz) => TryCall(KvmRequest.SetTscKhz, (void*)khz) >= 0;

    /// <summary>Sets what CPUID shows to the guest. Before the first run and before any other state.</summary>
    public void SetCpuid(KvmCpuidEntry[] entries) => CallList<KvmCpuidEntry>(KvmRequest.SetCpuid2, entries, out _);

    /// <summary>The FPU and vector state: as many bytes as KVM_CAP_XSAVE2 says, at least 4096.</summary>
    public ByteString GetXsave(int size)
    {
        byte[] buffer = new byte[Math.Max(size, SizeOf(KvmRequest.GetXsave))];
        fixed (byte* pointer = buffer)
        {
            Call(size > 0 ? KvmRequest.GetXsave2 : KvmRequest.GetXsave, pointer);
        }

        return UnsafeByteOperations.UnsafeWrap(buffer);
    }

    /// <summary>Sets the FPU and vector state; the kernel reads as many bytes as <see cref="GetXsave"/> gives on this host.</summary>
    public void SetXsave(ReadOnlySpan<byte> state)
    {
        fixed (byte* pointer = state)
        {
            Call(KvmRequest.SetXsave, pointer);
        }
    }

    /// <summary>Reads or writes MSRs, and returns how many before the one that KVM refused: all, when it refused none.</summary>
    public int CallMsrs(KvmRequest request, Span<KvmMsrEntry> entries) => CallList(request, entries, out _);

    public override void Dispose()
    {
        // The exit area goes after nobody runs the vCPU; the guest has ended its thread by now.
        KvmRun* run = _run;
        _run = null;
        if (run != null)
        {
            _ = Libc.Munmap((nint)run, _runSize);
        }

        base.Dispose();
    }
}
