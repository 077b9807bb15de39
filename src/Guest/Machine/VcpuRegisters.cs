using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Platform;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>Everything that a vCPU has in it: registers, vector state, MSRs, its local interrupt controller.</summary>
internal sealed class VcpuRegisters : Device<VcpuState>
{
    private const uint MpStateRunnable = 0;
    private const int MaxMsrs = 4096;

    private readonly KvmVcpu _vcpu;
    private readonly MachineClock _clock;
    private readonly uint[] _msrIndexes;
    private readonly int _xsaveSize;
    private readonly SortedSet<uint> _skippedMsrs = [];

    /// <summary>Those of a vCPU.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="number">Which one it is.</param>
    /// <param name="clock">Whose time stamp counter it has.</param>
    /// <param name="msrIndexes">The MSRs that have to be saved on this host.</param>
    /// <param name="xsaveSize">What KVM_CAP_XSAVE2 says.</param>
    public VcpuRegisters(KvmVcpu vcpu, int number, MachineClock clock, uint[] msrIndexes, int xsaveSize)
        : base($"vcpu.{number}", sectionVersion: 1, VcpuState.Parser)
    {
        _vcpu = vcpu;
        _clock = clock;
        _msrIndexes = msrIndexes;
        _xsaveSize = xsaveSize;
    }

    /// <summary>MSRs that this host's KVM would not read or write, and that were left alone.</summary>
    public IReadOnlyCollection<uint> SkippedMsrs => _skippedMsrs;

    private int XsaveRoom => Math.Max(_xsaveSize, KvmIoctl.SizeOf(KvmRequest.SetXsave));

    /// <summary>XCR0 of a new vCPU.</summary>
    public static ulong ReadXcr0(KvmVcpu vcpu)
    {
        // struct kvm_xcrs: number of registers, flags, then for each its number, padding and value. XCR0 is the only one there is.
        byte[] xcrs = vcpu.GetBytes(KvmRequest.GetXcrs);
        return BitConverter.ToUInt32(xcrs) > 0 ? BitConverter.ToUInt64(xcrs, 16) : 1;
    }

    /// <summary>Puts a new vCPU before the first instruction of its program.</summary>
    public void Start(FirstInstruction at)
    {
        var special = _vcpu.Get<KvmSpecialRegisters2>(KvmRequest.GetSpecialRegisters2);
        special.Cs = at.Code;
        special.Ds = special.Es = special.Fs = special.Gs = special.Ss = at.Data;
        special.Tr = at.Task;
        special.Ldt = new Segment { Unusable = 1 };
        special.Gdt = at.Gdt;
        special.Idt = at.Idt;
        special.Cr0 = at.Cr0;
        special.Cr3 = at.Cr3;
        special.Cr4 = at.Cr4;
        special.Efer = at.Efer;
        _vcpu.Set(KvmRequest.SetSpecialRegisters2, special);
        _vcpu.Set(KvmRequest.SetRegisters, at.General);

        // All but the first wait for a start-up IPI otherwise, and there is nobody to send it.
        _vcpu.Set(KvmRequest.SetMpState, MpStateRunnable);
    }

    /// <inheritdoc/>
    protected override VcpuState Save()
    {
        var state = new VcpuState
        {
            MpState = _vcpu.Get<uint>(KvmRequest.GetMpState),
            Registers = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetRegisters)),
            SpecialRegisters = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetSpecialRegisters2)),
            Xsave = ByteString.CopyFrom(_vcpu.GetXsave(_xsaveSize)),
            Xcrs = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetXcrs)),
            DebugRegisters = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetDebugRegisters)),
            Lapic = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetLapic)),
            Events = ByteString.CopyFrom(_vcpu.GetBytes(KvmRequest.GetVcpuEvents)),
        };
        var msrs = new KvmMsrEntry[_msrIndexes.Length];
        for (int i = 0; i < msrs.Length; i++)
        {
            msrs[i].Index = _msrIndexes[i];
        }

        state.RealtimeUnixNs = Realtime.NowUnixNanoseconds();
        for (int done = 0; done < msrs.Length; done++)
        {
            int read = _vcpu.GetMsrs(msrs.AsSpan(done));
            foreach (KvmMsrEntry msr in msrs.AsSpan(done, read))
            {
                state.Msrs.Add(new MsrValue { Index = msr.Index, Value = msr.Data });
            }

            // The one it stopped at is listed and yet not readable here; go on behind it.
            done += read;
            if (done < msrs.Length)
            {
                _skippedMsrs.Add(msrs[done].Index);
            }
        }

        return state;
    }

    /// <summary>The sizes of everything that is handed to the kernel, before any of it is.</summary>
    protected override void Check(VcpuState state)
    {
        Check(state.Registers, KvmRequest.SetRegisters);
        Check(state.SpecialRegisters, KvmRequest.SetSpecialRegisters2);
        Check(state.Xcrs, KvmRequest.SetXcrs);
        Check(state.DebugRegisters, KvmRequest.SetDebugRegisters);
        Check(state.Lapic, KvmRequest.SetLapic);
        Check(state.Events, KvmRequest.SetVcpuEvents);
        if (state.Msrs.Count > MaxMsrs)
        {
            throw new GuestStateException($"section '{Name}' has {state.Msrs.Count} MSRs, at most {MaxMsrs} are possible");
        }

        // A larger processor has more components, which the guest does not use.
        if (state.Xsave.Length > XsaveRoom && state.Xsave.Span[XsaveRoom..].IndexOfAnyExcept((byte)0) >= 0)
        {
            throw new GuestStateException(
                $"section '{Name}': the vector state has {state.Xsave.Length} bytes in use, this host has room for {XsaveRoom}");
        }
    }

    /// <inheritdoc/>
    protected override void Load(VcpuState state)
    {
        _vcpu.Set(KvmRequest.SetMpState, state.MpState);
        _vcpu.SetBytes(KvmRequest.SetRegisters, state.Registers.Span);
        _vcpu.SetBytes(KvmRequest.SetSpecialRegisters2, state.SpecialRegisters.Span);
        _vcpu.SetXsave(FitXsave(state.Xsave.Span));
        _vcpu.SetBytes(KvmRequest.SetXcrs, state.Xcrs.Span);
        _vcpu.SetBytes(KvmRequest.SetDebugRegisters, state.DebugRegisters.Span);
        _vcpu.SetBytes(KvmRequest.SetLapic, state.Lapic.Span);
        LoadMsrs(state);
        _vcpu.SetBytes(KvmRequest.SetVcpuEvents, state.Events.Span);
        _clock.Correct(_vcpu, state);
    }

    private void Check(ByteString structure, KvmRequest request)
    {
        if (structure.Length != KvmIoctl.SizeOf(request))
        {
            throw new GuestStateException(
                $"section '{Name}': the structure for {request} has {structure.Length} bytes, expected {KvmIoctl.SizeOf(request)}");
        }
    }

    private void LoadMsrs(VcpuState state)
    {
        var msrs = new KvmMsrEntry[state.Msrs.Count];
        for (int i = 0; i < msrs.Length; i++)
        {
            // The counter is written once, at its final value: KVM takes a second write that is near the first for a try to bring
            // vCPUs in step, and ignores it (kvm_synchronize_tsc in arch/x86/kvm/x86.c).
            uint index = state.Msrs[i].Index;
            ulong value = state.Msrs[i].Value;
            msrs[i] = new KvmMsrEntry { Index = index, Data = index == MachineClock.TscMsr ? _clock.TscNow(state, value) : value };
        }

        for (int done = 0; done < msrs.Length; done++)
        {
            // The one it stopped at is unknown to this host, or read-only here; go on behind it.
            done += _vcpu.SetMsrs(msrs.AsSpan(done));
            if (done < msrs.Length)
            {
                _skippedMsrs.Add(msrs[done].Index);
            }
        }
    }

    /// <summary>The vector state in this host's size.</summary>
    private byte[] FitXsave(ReadOnlySpan<byte> xsave)
    {
        byte[] fitted = new byte[XsaveRoom];
        xsave[..Math.Min(xsave.Length, fitted.Length)].CopyTo(fitted);
        return fitted;
    }
}
