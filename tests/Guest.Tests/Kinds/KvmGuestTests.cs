using Google.Protobuf;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;
using MigrationD.Guest.Tests.Kinds;
using MigrationD.Guest.Tests.Programs.Pulse;

namespace MigrationD.Guest.Tests.Kinds;

[Collection(GuestCollection.Name)]
public sealed class KvmGuestTests
{
    public static TheoryData<WalkPattern, int> PatternsAndVcpus => GuestBattery.PatternsAndVcpus;

    public static TheoryData<string> Damages => [.. GuestBattery.Damages];

    [MachineTheory(Needs.Kvm)]
    [MemberData(nameof(PatternsAndVcpus))]
    public void It_runs_without_corruption(WalkPattern pattern, int vcpus) =>
        GuestBattery.RunsWithoutCorruption(GuestKind.Kvm, pattern, vcpus);

    [MachineFact(Needs.Kvm)]
    public void Pause_is_complete_and_resume_goes_on() => GuestBattery.PauseIsCompleteAndResumeGoesOn(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void Many_pauses_lose_nothing() => GuestBattery.ManyPausesLoseNothing(GuestKind.Kvm);

    [MachineTheory(Needs.Kvm)]
    [InlineData(WalkPattern.Sequential, 1)]
    [InlineData(WalkPattern.Zipf, 4)]
    public void It_moves_within_the_process(WalkPattern pattern, int vcpus) =>
        GuestBattery.MovesWithinTheProcess(GuestKind.Kvm, pattern, vcpus);

    [MachineFact(Needs.Kvm)]
    public void It_moves_to_another_process_and_back() => GuestBattery.MovesToAnotherProcessAndBack(GuestKind.Kvm);

    [MachineTheory(Needs.Kvm)]
    [MemberData(nameof(Damages))]
    public void It_finds_broken_pages(string damage) => GuestBattery.FindsBrokenPages(GuestKind.Kvm, damage);

    [MachineFact(Needs.Kvm)]
    public void It_refuses_foreign_state() => GuestBattery.RefusesForeignState(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_refuses_what_does_not_fit() => GuestBattery.RefusesWhatDoesNotFit(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void It_refuses_other_devices() => GuestBattery.RefusesOtherDevices(GuestKind.Kvm);

    [MachineFact(Needs.Kvm)]
    public void Its_gap_holds_downtime() => GuestBattery.GapHoldsDowntime(
        GuestKind.Kvm,
        (state, away) => Scenario.Edit(
            state, "vcpu.0", VcpuState.Parser, vcpu => vcpu.RealtimeUnixNs -= away.Ticks * TimeSpan.NanosecondsPerTick));

    [MachineFact(Needs.Kvm)]
    public void It_names_the_threads_of_its_vCPUs() => GuestBattery.NamesTheThreadsOfItsVcpus(GuestKind.Kvm, "vcpu ");

    [MachineFact(Needs.Kvm)]
    public void Dispose_ends_its_threads_and_descriptors() => GuestBattery.DisposeEndsThreadsAndDescriptors(GuestKind.Kvm, "vcpu ");

    [MachineFact(Needs.Kvm | Needs.Userfaultfd)]
    public void It_pauses_in_a_missing_page() => GuestBattery.PausesInAMissingPage(GuestKind.Kvm);

    [MachineFact(Needs.Kvm | Needs.Userfaultfd)]
    public void It_disposes_in_a_missing_page() => GuestBattery.DisposesInAMissingPage(GuestKind.Kvm);

    [MachineFact(Needs.Kvm | Needs.Userfaultfd)]
    public void Dispose_gives_up_a_load_that_waits_for_memory()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm);
        using GuestMemory source = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, source);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        IGuest next = GuestFactory.Incoming(spec, memory, guest.MachineProfile());
        using var pager = new SourcePager(incoming, source, withheldFrom: 3);
        byte[] state = guest.SaveState();
        Task load = Task.Run(() => next.LoadState(state));
        TestPages.AssertEventually(() => pager.Withheld > 0, "a fault of a page that does not come");
        Assert.True(Task.Run(next.Dispose).Wait(TestPages.Deadline), "Dispose did not end in time");
        Assert.IsType<ObjectDisposedException>(Record.Exception(() => load.Wait(TestPages.Deadline))?.InnerException);
    }

    /// <summary>Another host's counter started at another time; the guest must not take the difference for a gap.</summary>
    [MachineTheory(Needs.Kvm)]
    [InlineData(1L << 45)]
    [InlineData(-(1L << 45))]
    public void A_host_with_another_counter_makes_no_gap(long difference)
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();

        // As if all of this guest's life had been on a host whose counter is ahead by so much.
        using GuestMemory copy = Scenario.CopyOf(memory);
        long block = new PulseLayout(spec).BlockOffset(0);
        Scenario.AddToWord(copy, block + VcpuBlock.LastSeen, difference);
        Scenario.AddToWord(copy, block + VcpuBlock.LastReport, difference);
        byte[] state = Scenario.Edit(guest.SaveState(), "vcpu.0", VcpuState.Parser, vcpu =>
        {
            MsrValue tsc = vcpu.Msrs.Single(msr => msr.Index == 0x10);
            tsc.Value = unchecked(tsc.Value + (ulong)difference);
        });
        using IGuest next = GuestFactory.Incoming(spec, copy, guest.MachineProfile());
        next.LoadState(state);
        Scenario.RunOverEveryPage(next);
        next.Pause();
        Assert.InRange(next.Report().LargestGap, TimeSpan.Zero, TestPages.Deadline);
        long lastSeen = Scenario.ReadWord(copy, block + VcpuBlock.LastSeen);
        Assert.True(lastSeen > Scenario.ReadWord(memory, block + VcpuBlock.LastSeen) + difference, "the guest's clock went on");
    }

    [MachineFact(Needs.Kvm)]
    public void Its_console_has_whole_lines_of_every_vcpu()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 4);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using KvmGuest guest = KvmGuest.Create(spec, memory);
        guest.Resume();
        TestPages.AssertEventually(
            () => Enumerable.Range(0, 4).All(vcpu => Text(guest).Split($"pulse vcpu={vcpu} ").Length > 3), "three lines of each vCPU");
        guest.Pause();
        string[] lines = Text(guest).Split('\n');
        Assert.Equal("", lines[^1]);
        Assert.All(lines[..^1], line => Assert.True(PulseReportLine.TryParse(System.Text.Encoding.ASCII.GetBytes(line), out _), line));
    }

    [MachineFact(Needs.Kvm)]
    public void Its_console_moves_with_it_and_goes_on()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        guest.Resume();
        TestPages.AssertEventually(() => Text(guest).Split('\n').Length > 6, "some lines");
        guest.Pause();
        byte[] state = guest.SaveState();
        string before = Text(guest);
        Assert.Equal(before.Length, guest.Console!.Written);

        using GuestMemory copy = Scenario.CopyOf(memory);
        using IGuest next = GuestFactory.Incoming(spec, copy, guest.MachineProfile());
        next.LoadState(state);
        Assert.Equal(before, Text(next));
        next.Resume();
        TestPages.AssertEventually(() => Text(next).Length > before.Length + 300, "lines on the next host");
        next.Pause();

        string all = Text(next);
        Assert.StartsWith(before, all, StringComparison.Ordinal);
        Assert.Equal(all.Length, next.Console!.Written);
        AssertReports(all, vcpus: 2);
    }

    /// <summary>Whole lines, and each vCPU's steps grow, once its pages are filled: none is there twice, none in the wrong place.</summary>
    private static void AssertReports(string console, int vcpus)
    {
        Assert.EndsWith("\n", console, StringComparison.Ordinal);
        var last = new long[vcpus];
        foreach (string line in console[..^1].Split('\n'))
        {
            Assert.True(PulseReportLine.TryParse(System.Text.Encoding.ASCII.GetBytes(line), out PulseReportLine report), line);
            ref long steps = ref last[report.VcpuNumber];
            Assert.True(report.StepCount > steps || (report.StepCount, steps) == (0, 0), $"after step {steps:x}: {line}");
            steps = report.StepCount;
        }
    }

    [MachineFact(Needs.Kvm)]
    public void A_console_that_cannot_be_is_refused()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        byte[] state = guest.SaveState();
        Refused(serial => (serial.ConsoleWritten, serial.ConsoleTail) = (2, ByteString.CopyFromUtf8("abc")));
        Refused(serial => (serial.ConsoleWritten, serial.ConsoleTail) = (1 << 20, ByteString.CopyFrom(new byte[(64 << 10) + 1])));
        Refused(serial => serial.ConsoleWritten = ulong.MaxValue);
        Assert.Equal(0, guest.Console!.Written);

        // A source of an earlier version has nothing to say about it.
        guest.LoadState(Scenario.Edit(state, "serial", SerialState.Parser, serial => serial.ConsoleTail = ByteString.Empty));

        void Refused(Action<SerialState> edit) => Assert.Contains(
            "serial",
            Assert.Throws<GuestStateException>(
                () => guest.LoadState(Scenario.Edit(state, "serial", SerialState.Parser, edit))).Message,
            StringComparison.Ordinal);
    }

    private static string Text(IGuest guest) => System.Text.Encoding.ASCII.GetString(guest.Console!.Read(0, int.MaxValue, out _));

    /// <summary>The machine code does what the C# definition says: the same pages in the same order, as often.</summary>
    [MachineTheory(Needs.Kvm)]
    [InlineData(WalkPattern.Sequential)]
    [InlineData(WalkPattern.Uniform)]
    [InlineData(WalkPattern.Zipf)]
    public void The_program_walks_as_the_walk_says(WalkPattern pattern)
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, pattern, vcpus: 2, workingSetMiB: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();

        var layout = new PulseLayout(spec);
        for (int vcpu = 0; vcpu < spec.Vcpus; vcpu++)
        {
            long block = layout.BlockOffset(vcpu);
            long pages = layout.SharePages(vcpu);
            uint[] zipf = ZipfTable.Create(layout.SharePages(0));
            var expected = new long[pages];
            Array.Fill(expected, 1);
            Walk walk = Walk.Start(vcpu);
            for (long step = Scenario.ReadWord(memory, block + VcpuBlock.Steps); step > 0; step--)
            {
                expected[walk.Next(pattern, pages, zipf)]++;
            }

            // The step in which it was paused may have drawn and written already.
            Walk withNext = walk;
            long next = withNext.Next(pattern, pages, zipf);
            long version = Scenario.ReadWord(memory, layout.VersionOffset(layout.ShareStart(vcpu) + next));
            Assert.InRange(version, expected[next], expected[next] + 1);
            expected[next] = version;
            for (long page = 0; page < pages; page++)
            {
                Assert.Equal(expected[page], Scenario.ReadWord(memory, layout.VersionOffset(layout.ShareStart(vcpu) + page)));
            }

            ulong random = (ulong)Scenario.ReadWord(memory, block + VcpuBlock.Random);
            Assert.True(random == walk.Random || random == withNext.Random, $"vCPU {vcpu}: the generator is elsewhere");
        }
    }

    [MachineFact(Needs.Kvm)]
    public void A_guest_beyond_the_hole_works()
    {
        // 2 MiB of the working set on either side of the hole at 3 GiB.
        GuestSpec spec = new("test", GuestKind.Kvm, (3L << 30) + (2 << 20), 2, 4 << 20, WalkPattern.Uniform);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        Assert.True(new PulseLayout(spec).WorkingSetOffset < AddressMap.HoleStart);
        Scenario.RunOverEveryPage(guest);
        guest.Pause();
        Assert.Equal(0, guest.Report().CorruptPages);
        Assert.Equal(0, PulseVerifier.CountCorruptPages(spec, memory));
    }

    [MachineFact(Needs.Kvm)]
    public void What_this_host_lacks_is_named()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        MachineProfile profile = MachineProfile.Parser.ParseFrom(guest.MachineProfile());

        // Reserved bits (leaf 1 ECX has none that is free, so leaf 7), features that no server has, and a counter of another frequency.
        Refused("CPUID 7.0:EBX bit 14 (mpx)", p => p.Cpuid.Add(new CpuidEntry { Function = 7, Flags = 1, Ebx = 1u << 14 }));
        Refused("CPUID 1.0:EDX bit 30 (ia64)", p => p.Cpuid.Single(e => e.Function == 1).Edx |= 1u << 30);
        Refused("CPUID 80000001.0:ECX bit 31", p => p.Cpuid.Single(e => e.Function == 0x80000001).Ecx |= 1u << 31);
        Refused("XCR0 bits 0x4000000000000000", p => p.Xcr0 |= 1UL << 62);
        Refused("physical addresses of 60 bits", p => p.Cpuid.Single(e => e.Function == 0x80000008).Eax = 60);
        Refused("CPUID of 1 to 256 entries", p => p.Cpuid.Clear());
        Refused("3 vCPUs", p => p.Vcpus = 3);
        Refused("time stamp counter", p => p.TscKhz = 0);
        if (!KvmProbe.Query().CanScaleTsc)
        {
            Refused("kHz", p => p.TscKhz *= 2);
        }

        void Refused(string why, Action<MachineProfile> edit)
        {
            MachineProfile edited = profile.Clone();
            edit(edited);
            GuestStateException error =
                Assert.Throws<GuestStateException>(() => GuestFactory.Incoming(spec, memory, edited.ToByteArray()));
            Assert.Contains(why, error.Message, StringComparison.Ordinal);
        }
    }

    [MachineFact(Needs.Kvm)]
    public void State_that_the_kernel_would_choke_on_is_refused()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        byte[] state = guest.SaveState();
        Refused("GetRegisters", "SetRegisters", vcpu => vcpu.Registers = ByteString.CopyFrom(new byte[8]));
        Refused("lapic", "SetLapic", vcpu => vcpu.Lapic = ByteString.Empty);
        Refused("xsave", "vector state", vcpu => vcpu.Xsave = ByteString.CopyFrom([.. new byte[1 << 16], 1]));
        Refused("sregs", "refuses", vcpu => vcpu.SpecialRegisters = ByteString.CopyFrom([.. Enumerable.Repeat((byte)0xFF, 320)]));
        Refused("mp state", "refuses", vcpu => vcpu.MpState = 77);
        Assert.Throws<GuestStateException>(() => guest.LoadState(
            Scenario.Edit(state, "irqchip", IrqchipState.Parser, irqchip => irqchip.Chips.RemoveAt(2))));
        Assert.Throws<GuestStateException>(() => guest.LoadState(
            Scenario.Edit(state, "report", ReportState.Parser, report => report.Vcpus.RemoveAt(0))));
        Assert.Throws<GuestStateException>(() => guest.LoadState(Scenario.Edit(
            state, "report", ReportState.Parser, report => report.Vcpus[0].UnfinishedLine = ByteString.CopyFrom(new byte[1000]))));

        void Refused(string what, string why, Action<VcpuState> edit)
        {
            byte[] bad = Scenario.Edit(state, "vcpu.1", VcpuState.Parser, edit);
            GuestStateException error = Assert.Throws<GuestStateException>(() => guest.LoadState(bad));
            Assert.True(error.Message.Contains(why, StringComparison.Ordinal), $"{what}: {error.Message}");
        }
    }

    [MachineFact(Needs.Kvm)]
    public void A_triple_fault_is_a_failure()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);

        // No interrupt table: the exception that reports a step finds no handler, nor do the two after it.
        guest.LoadState(Scenario.Edit(guest.SaveState(), "vcpu.1", VcpuState.Parser, vcpu =>
        {
            byte[] special = vcpu.SpecialRegisters.ToByteArray();
            special[(8 * 24) + 16 + 8] = 0;
            special[(8 * 24) + 16 + 9] = 0;
            vcpu.SpecialRegisters = ByteString.CopyFrom(special);
        }));
        Fails(guest, "vCPU 1 stopped: triple fault (KVM_EXIT_SHUTDOWN), RIP 0x");
    }

    [MachineTheory(Needs.Kvm)]
    [InlineData("exception 13 (general protection), error code 0x0, RIP 0x", new byte[] { 0xF4 })]
    [InlineData("exception 6 (invalid opcode), error code 0x0, RIP 0x", new byte[] { 0x0F, 0x0B })]
    [InlineData("exception 0 (divide error), error code 0x0, RIP 0x", new byte[] { 0x31, 0xC9, 0xF7, 0xF1 })]
    [InlineData("CR2 0x123456789000", new byte[] { 0x48, 0xA1, 0x00, 0x90, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00 })]
    public void An_unexpected_exception_is_a_failure(string why, byte[] instruction)
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 2);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);
        var layout = new PulseLayout(spec);
        memory.Write((long)PulseCode.Assemble(spec.Pattern, spec.Content, (ulong)layout.CodeOffset).Entry, instruction);
        Fails(guest, why);
    }

    [MachineFact(Needs.Kvm)]
    public void An_access_where_nothing_is_is_a_failure()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        using IGuest guest = GuestFactory.Create(spec, memory);

        // The last 2 MiB of RAM, which the walk ends in, lie in the hole now: physical address 0xE0000000.
        long entry = PulseLayout.PageDirectoriesOffset + ((memory.Length / GuestPage.BlockSize - 1) * 8);
        memory.Write(entry, BitConverter.GetBytes(0xE00000E7UL));
        Fails(guest, "physical address 0xe0000000");
    }

    private static void Fails(IGuest guest, string why)
    {
        guest.Resume();
        TestPages.AssertEventually(() => guest.Failure is not null, "the failure");
        Assert.False(guest.IsRunning);
        Assert.Contains(why, guest.Failure, StringComparison.Ordinal);

        // It stays what it is, and takes nothing else with it.
        string failure = guest.Failure!;
        guest.Resume();
        guest.Pause();
        Assert.False(guest.IsRunning);
        Assert.Equal(failure, guest.Failure);
        Assert.Contains(failure, Assert.Throws<InvalidOperationException>(() => guest.SaveState()).Message, StringComparison.Ordinal);
    }
}
