using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>Everything that a vCPU has in it: registers, vector state, MSRs, its local interrupt controller.</summary>
internal sealed class VcpuRegisters(KvmVcpu vcpu, int number, MachineClock clock, uint[] msrIndexes, int xsaveSize)
    : Device<VcpuState>($"vcpu.{number}", sectionVersion: 1, VcpuState.Parser)
{
    private const uint MpStateRunnable = 0;
    private const int MaxMsrs = 4096;

    private int XsaveRoom => Math.Max(xsaveSize, KvmObject.SizeOf(KvmRequest.SetXsave));

    /// <summary>XCR0 of a new vCPU.</summary>
    public static ulong ReadXcr0(KvmVcpu vcpu)
    {
        // struct kvm_xcrs: number of registers, flags, then for each its number, padding and value. XCR0 is the only one there is.
        ReadOnlySpan<byte> xcrs = vcpu.GetBytes(KvmRequest.GetXcrs).Span;
        return BitConverter.ToUInt32(xcrs) > 0 ? BitConverter.ToUInt64(xcrs[16..]) : 1;
    }

    /// <summary>Puts a new vCPU before the first instruction of its program.</summary>
    public void Start(FirstInstruction at)
    {
        var special = vcpu.Get<KvmSpecialRegisters2>(KvmRequest.GetSpecialRegisters2);
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
        vcpu.Set(KvmRequest.SetSpecialRegisters2, special);
        vcpu.Set(KvmRequest.SetRegisters, at.General);

        // All but the first wait for a start-up IPI otherwise, and there is nobody to send it.
        vcpu.Set(KvmRequest.SetMpState, MpStateRunnable);
    }

    protected override VcpuState Save()
    {
        var state = new VcpuState
        {
            MpState = vcpu.Get<uint>(KvmRequest.GetMpState),
            Registers = vcpu.GetBytes(KvmRequest.GetRegisters),
            SpecialRegisters = vcpu.GetBytes(KvmRequest.GetSpecialRegisters2),
            Xsave = vcpu.GetXsave(xsaveSize),
            Xcrs = vcpu.GetBytes(KvmRequest.GetXcrs),
            DebugRegisters = vcpu.GetBytes(KvmRequest.GetDebugRegisters),
            Lapic = vcpu.GetBytes(KvmRequest.GetLapic),
            Events = vcpu.GetBytes(KvmRequest.GetVcpuEvents),
        };
        KvmMsrEntry[] msrs = [.. msrIndexes.Select(index => new KvmMsrEntry { Index = index })];
        state.RealtimeUnixNs = Realtime.NowUnixNanoseconds();
        state.Msrs.AddRange(CallMsrs(KvmRequest.GetMsrs, msrs).Select(msr => new MsrValue { Index = msr.Index, Value = msr.Data }));
        return state;
    }

    /// <summary>Checks the sizes of everything that is handed to the kernel, before any of it is.</summary>
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

    protected override void Load(VcpuState state)
    {
        vcpu.Set(KvmRequest.SetMpState, state.MpState);
        vcpu.SetBytes(KvmRequest.SetRegisters, state.Registers);
        vcpu.SetBytes(KvmRequest.SetSpecialRegisters2, state.SpecialRegisters);
        vcpu.SetXsave(FitXsave(state.Xsave.Span));
        vcpu.SetBytes(KvmRequest.SetXcrs, state.Xcrs);
        vcpu.SetBytes(KvmRequest.SetDebugRegisters, state.DebugRegisters);
        vcpu.SetBytes(KvmRequest.SetLapic, state.Lapic);
        LoadMsrs(state);
        vcpu.SetBytes(KvmRequest.SetVcpuEvents, state.Events);
        clock.Correct(vcpu, state);
    }

    private void Check(ByteString structure, KvmRequest request)
    {
        if (structure.Length != KvmObject.SizeOf(request))
        {
            throw new GuestStateException(
                $"section '{Name}': the structure for {request} has {structure.Length} bytes, expected {KvmObject.SizeOf(request)}");
        }
    }

    // The counter is written once, at its final value: KVM takes a second write that is near the first for a try to bring vCPUs in step,
    // and ignores it (kvm_synchronize_tsc in arch/x86/kvm/x86.c).
    private void LoadMsrs(VcpuState state) => _ = CallMsrs(KvmRequest.SetMsrs, [.. state.Msrs.Select(msr => new KvmMsrEntry
    {
        Index = msr.Index,
        Data = msr.Index == MachineClock.TscMsr ? clock.TscNow(state, msr.Value) : msr.Value,
    })]);

    /// <summary>Reads or writes MSRs in bulk, and returns those that this host's KVM did not refuse.</summary>
    private List<KvmMsrEntry> CallMsrs(KvmRequest request, KvmMsrEntry[] msrs)
    {
        var done = new List<KvmMsrEntry>(msrs.Length);
        for (int next = 0; next < msrs.Length; next++)
        {
            int count = vcpu.CallMsrs(request, msrs.AsSpan(next));
            done.AddRange(msrs.AsSpan(next, count));

            // The one it stopped at is listed and yet not readable here, or unknown to this host, or read-only; go on behind it.
            next += count;
        }

        return done;
    }

    /// <summary>The vector state in this host's size.</summary>
    private byte[] FitXsave(ReadOnlySpan<byte> xsave)
    {
        byte[] fitted = new byte[XsaveRoom];
        xsave[..Math.Min(xsave.Length, fitted.Length)].CopyTo(fitted);
        return fitted;
    }
}
