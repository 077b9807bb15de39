using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>The pulse guest on a machine: its image, where its vCPUs start, and what it tells about itself.</summary>
internal sealed class PulseProgram : IProgram
{
    // A report every 50 ms: often enough to watch, and its 70 exits are less than a percent of a vCPU's time on a fast host.
    private const int ReportMilliseconds = 50;

    // AMD64 manual, volume 2, sections 3.1 and 4.
    private const ulong Cr0 = 0x80050033;
    private const ulong Cr4 = 0x620;
    private const ulong Efer = 0xD01;

    private readonly GuestSpec _spec;
    private readonly GuestMemory _memory;
    private readonly PulseLayout _layout;
    private readonly PulseReports _reports;

    /// <summary>The program of a guest, new or to come, whose vCPUs write their lines to <paramref name="console"/>.</summary>
    public PulseProgram(GuestSpec spec, GuestMemory memory, ConsoleRing console)
    {
        _spec = spec;
        _memory = memory;
        _layout = new PulseLayout(spec);
        _reports = new PulseReports(console, spec.Vcpus);
        Devices = [_reports];
        Ports = [new BusRange(PulseCode.FailurePort, 1, new FailurePort(memory, _layout))];
    }

    /// <summary>What its serial port's line leads to.</summary>
    public ISerialLine Line => _reports;

    public RamPiece TouchedByHypervisors => new(PulseLayout.GdtOffset, _layout.ZipfTableOffset - PulseLayout.GdtOffset);

    public IReadOnlyList<IDevice> Devices { get; }

    public IReadOnlyList<BusRange> Ports { get; }

    public IReadOnlyList<FirstInstruction> Load(uint tscKhz)
    {
        PulseImage.WriteWalk(_memory, _layout, _spec.Pattern, (ulong)tscKhz * ReportMilliseconds);
        ulong entry = PulseImage.WriteMachine(_memory, _layout, _spec.Pattern, _spec.Content);
        return [.. Enumerable.Range(0, _spec.Vcpus).Select(vcpu => StartOf(vcpu, entry))];
    }

    /// <summary>The clock of the guest's program is the counter plus a register (<see cref="PulseCode"/>).</summary>
    public void CorrectClock(long ticksAhead, ref GeneralRegisters registers) =>
        registers.R10 = unchecked(registers.R10 - (ulong)ticksAhead);

    public GuestReport Report(uint tscKhz) => GuestReport.Over(_reports.Last.Select(last => new GuestReport(
        last.StepCount, last.SweepCount, last.CorruptCount, ToTime(last.GapTicks, tscKhz))));

    // Ticks divided by kHz are milliseconds.
    private static TimeSpan ToTime(long ticks, uint tscKhz) =>
        TimeSpan.FromMilliseconds(Math.Min((double)ticks / tscKhz, TimeSpan.MaxValue.TotalMilliseconds / 2));

    private static Segment FlatSegment(ushort selector, byte type, bool isCode) => new()
    {
        Selector = selector,
        Limit = 0xFFFFFFFF,
        Type = type,
        Present = 1,
        Dpl = 3,
        S = 1,
        G = 1,
        L = isCode ? (byte)1 : (byte)0,
        Db = isCode ? (byte)0 : (byte)1,
    };

    /// <summary>Long mode, ring 3, interrupts off: as if a kernel had just started its first program.</summary>
    private FirstInstruction StartOf(int vcpu, ulong entry) => new()
    {
        General = new GeneralRegisters
        {
            Rip = entry,
            Rsp = (ulong)_layout.UserStackTop(vcpu),
            R15 = (ulong)_layout.BlockOffset(vcpu),
            Rflags = 2,
        },
        Code = FlatSegment(PulseImage.UserCode, 0xB, isCode: true),
        Data = FlatSegment(PulseImage.UserData, 3, isCode: false),
        Task = new Segment
        {
            Base = (ulong)PulseImage.TssAddress(vcpu),
            Limit = PulseImage.TssSize - 1,
            Selector = PulseImage.TssSelector(vcpu),
            Type = 0xB,
            Present = 1,
        },
        Gdt = new DescriptorTable { Base = (ulong)PulseLayout.GdtOffset, Limit = PulseImage.GdtSize - 1 },
        Idt = new DescriptorTable { Base = (ulong)PulseLayout.IdtOffset, Limit = PulseImage.IdtSize - 1 },
        Cr0 = Cr0,
        Cr3 = (ulong)PulseLayout.Pml4Offset,
        Cr4 = Cr4,
        Efer = Efer,
    };
}
