using MigrationD.Guest.Devices;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>
/// Makes up, in a vCPU's registers, for a time stamp counter that is so many ticks ahead of what the guest should read; negative when it is
/// behind.
/// </summary>
internal delegate void ClockCorrection(long ticksAhead, ref GeneralRegisters registers);

/// <summary>
/// The clocks of a machine: kvmclock, which is a section of its own, and the time stamp counters of its vCPUs, which are among their
/// registers. Both are saved with the realtime and loaded with what has passed since, so that a guest's clocks count its downtime.
/// </summary>
internal sealed class MachineClock(KvmVirtualMachine machine, uint tscKhz, ClockCorrection correct)
    : Device<ClockState>("clock", sectionVersion: 1, ClockState.Parser)
{
    public const uint TscMsr = 0x10;

    private const int Attempts = 3;

    /// <summary>What a time stamp counter that was saved with a vCPU's state reads now. Ticks are nanoseconds times kHz / 10^6.</summary>
    public ulong TscNow(VcpuState state, ulong saved) =>
        unchecked(saved + (ulong)((Int128)NanosecondsSince(state.RealtimeUnixNs) * tscKhz / 1_000_000));

    /// <summary>Makes the guest's clock go on from where it was saved, plus the time since, where KVM could not.</summary>
    /// <remarks>
    /// The clock is the time stamp counter, which KVM offsets. Under PVM it cannot, because ring 3 executes RDTSC on the host's own
    /// counter: KVM_SET_MSRS succeeds and changes nothing (measured). Reading the counter back tells; what to do about the difference
    /// is the program's to know.
    /// </remarks>
    public void Correct(KvmVcpu vcpu, VcpuState state)
    {
        if (state.Msrs.FirstOrDefault(msr => msr.Index == TscMsr) is not { } saved)
        {
            return;
        }

        Int128 ahead = Int128.MaxValue;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            // A preemption between the two clocks looks like a difference, so the smallest counts.
            Span<KvmMsrEntry> tsc = [new KvmMsrEntry { Index = TscMsr }];
            vcpu.CallMsrs(KvmRequest.GetMsrs, tsc);
            Int128 now = unchecked((long)(tsc[0].Data - TscNow(state, saved.Value)));
            ahead = Int128.Abs(now) < Int128.Abs(ahead) ? now : ahead;
        }

        // A millisecond; less is the noise of the two clocks.
        if (Int128.Abs(ahead) > tscKhz)
        {
            var registers = vcpu.Get<GeneralRegisters>(KvmRequest.GetRegisters);
            correct((long)ahead, ref registers);
            vcpu.Set(KvmRequest.SetRegisters, registers);
        }
    }

    protected override ClockState Save() => new()
    {
        KvmclockNs = machine.Get<KvmClockData>(KvmRequest.GetClock).Clock,
        RealtimeUnixNs = Realtime.NowUnixNanoseconds(),
    };

    // Flags stay 0: with KVM_CLOCK_REALTIME the kernel would add the time since as well.
    protected override void Load(ClockState state) => machine.Set(
        KvmRequest.SetClock, new KvmClockData { Clock = state.KvmclockNs + (ulong)NanosecondsSince(state.RealtimeUnixNs) });

    private static long NanosecondsSince(long realtimeUnixNs) => Math.Max(0, Realtime.NowUnixNanoseconds() - realtimeUnixNs);
}
