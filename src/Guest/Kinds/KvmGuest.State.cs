using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <content>The registers a guest starts with, and the state that moves with it.</content>
public sealed partial class KvmGuest
{
    private const uint SectionVersion = 1;
    private const string ClockSection = "clock";
    private const string IrqchipSection = "irqchip";
    private const string PitSection = "pit";
    private const string SerialSection = "serial";
    private const string ReportSection = "report";

    private const uint MpStateRunnable = 0;
    private const uint MsrTsc = 0x10;
    private const int MaxMsrs = 4096;
    private const int ClockAttempts = 3;

    // AMD64 manual, volume 2, sections 3.1 and 4.
    private const ulong Cr0 = 0x80050033;
    private const ulong Cr4 = 0x620;
    private const ulong Efer = 0xD01;

    /// <summary>MSRs that this host's KVM would not read or write, and that were left alone.</summary>
    internal IReadOnlyCollection<uint> SkippedMsrs => _skippedMsrs;

    private readonly SortedSet<uint> _skippedMsrs = [];

    /// <inheritdoc/>
    public byte[] MachineProfile() => _profile.ToByteArray();

    /// <inheritdoc/>
    public byte[] SaveState()
    {
        using Lock.Scope still = _crew.HoldToSave();
        var writer = new DeviceStateWriter();

        // First, so that the realtime and the time stamp counters, which go on, are read close together.
        writer.Add(ClockSection, SectionVersion, new ClockState
        {
            KvmclockNs = _machine.GetClock().Clock,
            RealtimeUnixNs = Realtime.NowUnixNanoseconds(),
        });
        for (int number = 0; number < _vcpus.Length; number++)
        {
            writer.Add(VcpuSection(number), SectionVersion, Save(_vcpus[number].Kernel));
        }

        var irqchip = new IrqchipState();
        for (uint chip = 0; chip < 3; chip++)
        {
            irqchip.Chips.Add(ByteString.CopyFrom(_machine.GetIrqchip(chip)));
        }

        writer.Add(IrqchipSection, SectionVersion, irqchip);
        writer.Add(PitSection, SectionVersion, new PitState { State = ByteString.CopyFrom(_machine.GetPit()) });
        writer.Add(SerialSection, SectionVersion, Save(_serial.State, _console));
        writer.Add(ReportSection, SectionVersion, SaveReports());
        return writer.ToArray();
    }

    /// <inheritdoc/>
    public void LoadState(ReadOnlySpan<byte> state)
    {
        using Lock.Scope still = _crew.HoldToLoad();
        Dictionary<string, uint> expected = new()
        {
            [ClockSection] = SectionVersion,
            [IrqchipSection] = SectionVersion,
            [PitSection] = SectionVersion,
            [SerialSection] = SectionVersion,
            [ReportSection] = SectionVersion,
        };
        for (int number = 0; number < _vcpus.Length; number++)
        {
            expected[VcpuSection(number)] = SectionVersion;
        }

        var reader = new DeviceStateReader(state, expected);
        var clock = reader.Get(ClockSection, ClockState.Parser);
        var irqchip = reader.Get(IrqchipSection, IrqchipState.Parser);
        var pit = reader.Get(PitSection, PitState.Parser);
        var serial = reader.Get(SerialSection, SerialState.Parser);
        var reports = reader.Get(ReportSection, ReportState.Parser);
        var vcpus = new VcpuState[_vcpus.Length];
        for (int number = 0; number < vcpus.Length; number++)
        {
            vcpus[number] = reader.Get(VcpuSection(number), VcpuState.Parser);
            Check(vcpus[number], number);
        }

        Check(irqchip);
        Check(reports);
        Check(serial);
        WaitForTables();
        try
        {
            foreach (ByteString chip in irqchip.Chips)
            {
                _machine.SetIrqchip(chip.Span);
            }

            _machine.SetPit(pit.State.Span);
            _machine.SetClock(new KvmClockData { Clock = clock.KvmclockNs + (ulong)NanosecondsSince(clock.RealtimeUnixNs) });
            for (int number = 0; number < vcpus.Length; number++)
            {
                Load(_vcpus[number].Kernel, vcpus[number]);
            }
        }
        catch (SystemCallException error)
        {
            throw new GuestStateException($"this host's KVM refuses the state of guest {Spec.Name}: {error.Message}", error);
        }

        _serial.State = Load(serial);
        _console.Load((long)serial.ConsoleWritten, serial.ConsoleTail.Span);
        for (int number = 0; number < _vcpus.Length; number++)
        {
            VcpuReport report = reports.Vcpus[number];
            _vcpus[number].LoadReport(
                new PulseReportLine(
                    number, (long)report.Steps, (long)report.Sweeps, (long)report.CorruptPages, (long)report.LargestGapTicks),
                report.UnfinishedLine.Span);
        }
    }

    /// <summary>Waits until the guest's tables, code and stacks are here: everything that a hypervisor itself reads or writes.</summary>
    /// <remarks>
    /// KVM touches them in kernel mode where it walks the guest's page tables in software or delivers its exceptions (PVM, or
    /// hardware without nested paging), and there a wait for a missing page ends for no signal but a fatal one (fault_signal_pending
    /// in linux/sched/signal.h): a vCPU in it cannot be paused. All other pages are touched by the guest, and those waits can be
    /// interrupted.
    /// </remarks>
    private unsafe void WaitForTables()
    {
        for (long offset = PulseLayout.GdtOffset; offset < Layout.ZipfTableOffset; offset += GuestPage.Size)
        {
            _crew.WaitForMemory(() =>
            {
                ulong word;
                return KickSignal.TryCopy(&word, Memory.Locate(offset, sizeof(ulong)), sizeof(ulong));
            });
        }
    }

    private static string VcpuSection(int number) => $"vcpu.{number}";

    private static ulong ReadXcr0(KvmVcpu vcpu)
    {
        // struct kvm_xcrs: number of registers, flags, then for each its number, padding and value. XCR0 is the only one there is.
        byte[] xcrs = vcpu.GetBytes(KvmRequest.GetXcrs);
        return BitConverter.ToUInt32(xcrs) > 0 ? BitConverter.ToUInt64(xcrs, 16) : 1;
    }

    private static KvmSegment Segment(ushort selector, byte type, byte dpl, bool isCode) => new()
    {
        Selector = selector,
        Limit = 0xFFFFFFFF,
        Type = type,
        Present = 1,
        Dpl = dpl,
        S = 1,
        G = 1,
        L = isCode ? (byte)1 : (byte)0,
        Db = isCode ? (byte)0 : (byte)1,
    };

    /// <summary>Long mode, ring 3, interrupts off: as if a kernel had just started its first program.</summary>
    private void SetFirstInstruction(Vcpu vcpu, ulong entry)
    {
        int number = Array.IndexOf(_vcpus, vcpu);
        var special = vcpu.Kernel.Get<KvmSpecialRegisters2>(KvmRequest.GetSpecialRegisters2);
        special.Cs = Segment(PulseImage.UserCode, 0xB, 3, isCode: true);
        special.Ds = special.Es = special.Fs = special.Gs = special.Ss = Segment(PulseImage.UserData, 3, 3, isCode: false);
        special.Tr = new KvmSegment
        {
            Base = (ulong)PulseImage.TssAddress(number),
            Limit = PulseImage.TssSize - 1,
            Selector = PulseImage.TssSelector(number),
            Type = 0xB,
            Present = 1,
        };
        special.Ldt = new KvmSegment { Unusable = 1 };
        special.Gdt = new KvmDescriptorTable { Base = (ulong)PulseLayout.GdtOffset, Limit = PulseImage.GdtSize - 1 };
        special.Idt = new KvmDescriptorTable { Base = (ulong)PulseLayout.IdtOffset, Limit = PulseImage.IdtSize - 1 };
        special.Cr0 = Cr0;
        special.Cr3 = (ulong)PulseLayout.Pml4Offset;
        special.Cr4 = Cr4;
        special.Efer = Efer;
        vcpu.Kernel.Set(KvmRequest.SetSpecialRegisters2, special);
        vcpu.Kernel.Set(KvmRequest.SetRegisters, new KvmRegisters
        {
            Rip = entry,
            Rsp = (ulong)Layout.UserStackTop(number),
            R15 = (ulong)Layout.BlockOffset(number),
            Rflags = 2,
        });

        // All but the first wait for a start-up IPI otherwise, and there is nobody to send it.
        vcpu.Kernel.Set(KvmRequest.SetMpState, MpStateRunnable);
    }

    private VcpuState Save(KvmVcpu vcpu)
    {
        var state = new VcpuState
        {
            MpState = vcpu.Get<uint>(KvmRequest.GetMpState),
            Registers = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetRegisters)),
            SpecialRegisters = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetSpecialRegisters2)),
            Xsave = ByteString.CopyFrom(vcpu.GetXsave(_xsaveSize)),
            Xcrs = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetXcrs)),
            DebugRegisters = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetDebugRegisters)),
            Lapic = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetLapic)),
            Events = ByteString.CopyFrom(vcpu.GetBytes(KvmRequest.GetVcpuEvents)),
        };
        var msrs = new KvmMsrEntry[_msrIndexes.Length];
        for (int i = 0; i < msrs.Length; i++)
        {
            msrs[i].Index = _msrIndexes[i];
        }

        state.RealtimeUnixNs = Realtime.NowUnixNanoseconds();
        for (int done = 0; done < msrs.Length; done++)
        {
            int read = vcpu.GetMsrs(msrs.AsSpan(done));
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

    private void Load(KvmVcpu vcpu, VcpuState state)
    {
        vcpu.Set(KvmRequest.SetMpState, state.MpState);
        vcpu.SetBytes(KvmRequest.SetRegisters, state.Registers.Span);
        vcpu.SetBytes(KvmRequest.SetSpecialRegisters2, state.SpecialRegisters.Span);
        vcpu.SetXsave(FitXsave(state.Xsave.Span));
        vcpu.SetBytes(KvmRequest.SetXcrs, state.Xcrs.Span);
        vcpu.SetBytes(KvmRequest.SetDebugRegisters, state.DebugRegisters.Span);
        vcpu.SetBytes(KvmRequest.SetLapic, state.Lapic.Span);
        LoadMsrs(vcpu, state);
        vcpu.SetBytes(KvmRequest.SetVcpuEvents, state.Events.Span);
        CorrectClock(vcpu, state);
    }

    private void LoadMsrs(KvmVcpu vcpu, VcpuState state)
    {
        var msrs = new KvmMsrEntry[state.Msrs.Count];
        for (int i = 0; i < msrs.Length; i++)
        {
            // The counter is written once, at its final value: KVM takes a second write that is near the first for a try to bring
            // vCPUs in step, and ignores it (kvm_synchronize_tsc in arch/x86/kvm/x86.c).
            uint index = state.Msrs[i].Index;
            ulong value = state.Msrs[i].Value;
            msrs[i] = new KvmMsrEntry { Index = index, Data = index == MsrTsc ? ClockNow(state, value) : value };
        }

        for (int done = 0; done < msrs.Length; done++)
        {
            // The one it stopped at is unknown to this host, or read-only here; go on behind it.
            done += vcpu.SetMsrs(msrs.AsSpan(done));
            if (done < msrs.Length)
            {
                _skippedMsrs.Add(msrs[done].Index);
            }
        }
    }

    /// <summary>Makes the guest's clock go on from where it was saved, plus the time since, where KVM could not.</summary>
    /// <remarks>
    /// The clock is the time stamp counter, which KVM offsets. Under PVM it cannot, because ring 3 executes RDTSC on the host's own
    /// counter: KVM_SET_MSRS succeeds and changes nothing (measured). Reading the counter back tells; the difference then goes into the
    /// register that the guest's program adds to it (<see cref="PulseProgram"/>).
    /// </remarks>
    private void CorrectClock(KvmVcpu vcpu, VcpuState state)
    {
        if (state.Msrs.FirstOrDefault(msr => msr.Index == MsrTsc) is not { } saved)
        {
            return;
        }

        Int128 ahead = Int128.MaxValue;
        for (int attempt = 0; attempt < ClockAttempts; attempt++)
        {
            // A preemption between the two clocks looks like a difference, so the smallest counts.
            Span<KvmMsrEntry> tsc = [new KvmMsrEntry { Index = MsrTsc }];
            vcpu.GetMsrs(tsc);
            Int128 now = unchecked((long)(tsc[0].Data - ClockNow(state, saved.Value)));
            ahead = Int128.Abs(now) < Int128.Abs(ahead) ? now : ahead;
        }

        // A millisecond; less is the noise of the two clocks.
        if (Int128.Abs(ahead) > _profile.TscKhz)
        {
            var registers = vcpu.Get<KvmRegisters>(KvmRequest.GetRegisters);
            registers.R10 = unchecked(registers.R10 - (ulong)(long)ahead);
            vcpu.Set(KvmRequest.SetRegisters, registers);
        }
    }

    /// <summary>What a time stamp counter that was saved with a vCPU's state reads now. Ticks are nanoseconds times kHz / 10^6.</summary>
    private ulong ClockNow(VcpuState state, ulong saved) =>
        unchecked(saved + (ulong)((Int128)NanosecondsSince(state.RealtimeUnixNs) * _profile.TscKhz / 1_000_000));

    private static long NanosecondsSince(long realtimeUnixNs) => Math.Max(0, Realtime.NowUnixNanoseconds() - realtimeUnixNs);

    /// <summary>The state in this host's size: a larger processor has more components, which the guest does not use.</summary>
    private byte[] FitXsave(ReadOnlySpan<byte> xsave)
    {
        byte[] fitted = new byte[Math.Max(_xsaveSize, KvmIoctl.SizeOf(KvmRequest.SetXsave))];
        if (xsave.Length > fitted.Length)
        {
            if (xsave[fitted.Length..].IndexOfAnyExcept((byte)0) >= 0)
            {
                throw new GuestStateException(
                    $"the vector state of guest {Spec.Name} has {xsave.Length} bytes in use, this host has room for {fitted.Length}");
            }

            xsave = xsave[..fitted.Length];
        }

        xsave.CopyTo(fitted);
        return fitted;
    }

    /// <summary>The sizes of everything that is handed to the kernel, before any of it is.</summary>
    private static void Check(VcpuState state, int number)
    {
        Check(state.Registers, KvmRequest.SetRegisters, number);
        Check(state.SpecialRegisters, KvmRequest.SetSpecialRegisters2, number);
        Check(state.Xcrs, KvmRequest.SetXcrs, number);
        Check(state.DebugRegisters, KvmRequest.SetDebugRegisters, number);
        Check(state.Lapic, KvmRequest.SetLapic, number);
        Check(state.Events, KvmRequest.SetVcpuEvents, number);
        if (state.Msrs.Count > MaxMsrs)
        {
            throw new GuestStateException($"section '{VcpuSection(number)}' has {state.Msrs.Count} MSRs, at most {MaxMsrs} are possible");
        }
    }

    private static void Check(ByteString structure, KvmRequest request, int number)
    {
        if (structure.Length != KvmIoctl.SizeOf(request))
        {
            throw new GuestStateException(
                $"section '{VcpuSection(number)}': the structure for {request} has {structure.Length} bytes, " +
                $"expected {KvmIoctl.SizeOf(request)}");
        }
    }

    private static void Check(IrqchipState irqchip)
    {
        if (irqchip.Chips.Count != 3 || irqchip.Chips.Any(chip => chip.Length != KvmIoctl.SizeOf(KvmRequest.SetIrqchip)))
        {
            throw new GuestStateException(
                $"section '{IrqchipSection}' does not have three structures of {KvmIoctl.SizeOf(KvmRequest.SetIrqchip)} bytes");
        }
    }

    private void Check(ReportState reports)
    {
        if (reports.Vcpus.Count != _vcpus.Length)
        {
            throw new GuestStateException($"section '{ReportSection}' is about {reports.Vcpus.Count} vCPUs, the guest has {_vcpus.Length}");
        }

        if (reports.Vcpus.Any(report => report.UnfinishedLine.Length >= PulseReportLine.MaxLength))
        {
            throw new GuestStateException($"section '{ReportSection}' has an unfinished line of {PulseReportLine.MaxLength} bytes or more");
        }
    }

    private void Check(SerialState serial)
    {
        if (serial.ConsoleWritten > long.MaxValue / 2 || (ulong)serial.ConsoleTail.Length > serial.ConsoleWritten
            || serial.ConsoleTail.Length > _console.Capacity)
        {
            throw new GuestStateException(
                $"section '{SerialSection}' has the last {serial.ConsoleTail.Length} of {serial.ConsoleWritten} bytes that the guest " +
                $"wrote; there can be no more than it wrote, and than {_console.Capacity}");
        }
    }

    private ReportState SaveReports()
    {
        var state = new ReportState();
        foreach (Vcpu vcpu in _vcpus)
        {
            (PulseReportLine last, byte[] unfinished) = vcpu.SaveReport();
            state.Vcpus.Add(new VcpuReport
            {
                Steps = (ulong)last.StepCount,
                Sweeps = (ulong)last.SweepCount,
                CorruptPages = (ulong)last.CorruptCount,
                LargestGapTicks = (ulong)last.GapTicks,
                UnfinishedLine = ByteString.CopyFrom(unfinished),
            });
        }

        return state;
    }

    private static SerialState Save(SerialPort.Registers registers, ConsoleRing console)
    {
        (long written, byte[] tail) = console.Save();
        return new SerialState
        {
            DivisorLow = registers.DivisorLow,
            DivisorHigh = registers.DivisorHigh,
            InterruptEnable = registers.InterruptEnable,
            FifoControl = registers.FifoControl,
            LineControl = registers.LineControl,
            ModemControl = registers.ModemControl,
            Scratch = registers.Scratch,
            ConsoleWritten = (ulong)written,
            ConsoleTail = UnsafeByteOperations.UnsafeWrap(tail),
        };
    }

    private static SerialPort.Registers Load(SerialState state) => new()
    {
        DivisorLow = (byte)state.DivisorLow,
        DivisorHigh = (byte)state.DivisorHigh,
        InterruptEnable = (byte)state.InterruptEnable,
        FifoControl = (byte)state.FifoControl,
        LineControl = (byte)state.LineControl,
        ModemControl = (byte)state.ModemControl,
        Scratch = (byte)state.Scratch,
    };
}
