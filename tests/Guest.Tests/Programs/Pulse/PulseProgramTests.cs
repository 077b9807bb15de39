using MigrationD.Guest.Devices;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Devices;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Programs.Pulse;

/// <summary>The pulse program without a machine.</summary>
public sealed class PulseProgramTests : IDisposable
{
    private readonly GuestSpec _spec = Scenario.Spec(GuestKind.Kvm, vcpus: 2);
    private readonly GuestMemory _memory;
    private readonly PulseProgram _program;
    private readonly PulseLayout _layout;

    public PulseProgramTests()
    {
        _memory = GuestMemory.Map(_spec.MemoryBytes);
        _program = new PulseProgram(_spec, _memory, new ConsoleRing(4096));
        _layout = new PulseLayout(_spec);
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Each_vCPU_starts_at_the_same_instruction_with_a_block_and_a_stack_of_its_own()
    {
        IReadOnlyList<FirstInstruction> starts = _program.Load(tscKhz: 2_000_000);
        Assert.Equal(2, starts.Count);
        Assert.Equal(starts[0].General.Rip, starts[1].General.Rip);
        Assert.Equal([(ulong)_layout.BlockOffset(0), (ulong)_layout.BlockOffset(1)], starts.Select(start => start.General.R15));
        Assert.Equal(2, starts.Select(start => start.General.Rsp).Distinct().Count());
        Assert.NotEqual(starts[0].Task.Base, starts[1].Task.Base);

        // All of it, and nothing that a walk writes, is what hypervisors touch.
        RamPiece touched = _program.TouchedByHypervisors;
        Assert.All(starts, start => Assert.InRange((long)start.General.Rip, touched.Offset, touched.Offset + touched.Length));
        Assert.All(starts, start => Assert.InRange((long)start.Cr3, touched.Offset, touched.Offset + touched.Length));
        Assert.True(touched.Offset + touched.Length <= _layout.VersionTableOffset);
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(-1000)]
    public void A_counter_that_is_ahead_is_made_up_for_in_r10(long ahead)
    {
        var registers = new GeneralRegisters { R10 = 7, R11 = 9 };
        _program.CorrectClock(ahead, ref registers);
        Assert.Equal((7 - ahead, 9UL), ((long)registers.R10, registers.R11));
    }

    [Fact]
    public void An_exception_is_a_failure_with_its_frame()
    {
        ulong stack = (ulong)_layout.KernelStackTop(1) - 48;
        _memory.Write((long)stack, [.. BitConverter.GetBytes(14UL), .. BitConverter.GetBytes(6UL), .. BitConverter.GetBytes(0x1234UL)]);
        var vcpu = new TestVcpu(1) { Registers = new GeneralRegisters { Rsp = stack, Rip = 0x99 }, FaultAddress = 0xABC };
        Assert.True(Ports.Write(vcpu, PulseCode.FailurePort, [14]));
        Assert.Equal("exception 14 (page fault), error code 0x6, RIP 0x1234, CR2 0xabc", vcpu.Failure);
    }

    [Fact]
    public void An_exception_on_a_stack_that_is_none_is_a_failure_without_it()
    {
        var vcpu = new TestVcpu { Registers = new GeneralRegisters { Rsp = 0x10, Rip = 0x99 } };
        Assert.True(Ports.Write(vcpu, PulseCode.FailurePort, [200]));
        Assert.Equal("exception 200, stack pointer 0x10 outside the ring 0 stack, RIP 0x99", vcpu.Failure);
        Assert.False(Ports.Read(vcpu, PulseCode.FailurePort, new byte[1]));
    }

    private Bus Ports => new(_program.Ports);
}
