using System.Buffers.Binary;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Machine;

[Collection(GuestCollection.Name)]
public sealed class KvmMachineTests
{
    // The last 2 MiB of RAM are mapped here, where there is no RAM.
    private const ulong Window = 0xD0000000;

    /// <summary>A machine of which nothing but a bus knows the device.</summary>
    [MachineFact(Needs.Kvm)]
    public void A_device_answers_at_physical_addresses_without_RAM()
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        var program = new PulseProgram(spec, memory, new ConsoleRing(4096));
        var counter = new Counter();
        using KvmDevice device = KvmProbe.OpenUsable();
        using var machine = new KvmMachine(
            device, "g", memory, 1, null,
            new MachineParts(new Bus(program.Ports), new Bus([new BusRange(Window + 0x100, 0x10, counter)]), program.CorrectClock));
        IReadOnlyList<FirstInstruction> start = program.Load(machine.Profile.TscKhz);
        machine.Start(start);
        long linear = memory.Length - GuestPage.BlockSize;
        memory.Write(PulseLayout.PageDirectoriesOffset + (linear / GuestPage.BlockSize * 8), BitConverter.GetBytes(Window | 0xE7));
        byte[] code =
        [
            0x48, 0xB9, .. BitConverter.GetBytes(linear + 0x100), // mov rcx, the device
            0x8B, 0x01, // mov eax, [rcx]
            0xFF, 0xC0, // inc eax
            0x89, 0x41, 0x08, // mov [rcx+8], eax
            0x66, 0x8B, 0x41, 0x20, // mov ax, [rcx+32], which is behind it
        ];
        memory.Write((long)start[0].General.Rip, code);

        machine.Crew.Resume();
        TestPages.AssertEventually(() => machine.Crew.Failure is not null, "the access behind the device");
        Assert.Equal(["read 4 at 0", "write 4 at 8: 42"], counter.Accesses);
        Assert.StartsWith(
            "vCPU 0 stopped: read of physical address 0xd0000120, where there is neither memory nor a device (KVM_EXIT_MMIO), RIP 0x",
            machine.Crew.Failure,
            StringComparison.Ordinal);
    }

    [MachineTheory(Needs.Kvm)]
    [InlineData("read of I/O port 0x510", new byte[] { 0x66, 0xBA, 0x10, 0x05, 0xEC })] // mov dx, 0x510; in al, dx
    [InlineData("write to I/O port 0x510", new byte[] { 0x66, 0xBA, 0x10, 0x05, 0xEE })] // mov dx, 0x510; out dx, al
    public void A_port_without_a_device_is_a_failure(string why, byte[] code)
    {
        GuestSpec spec = Scenario.Spec(GuestKind.Kvm, vcpus: 1);
        using GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
        var program = new PulseProgram(spec, memory, new ConsoleRing(4096));
        using KvmDevice device = KvmProbe.OpenUsable();
        using var machine = new KvmMachine(
            device, "g", memory, 1, null, new MachineParts(new Bus(program.Ports), new Bus([]), program.CorrectClock));
        FirstInstruction start = program.Load(machine.Profile.TscKhz)[0];

        // In ring 0, which may use ports.
        machine.Start(
        [
            start with
            {
                Code = start.Code with { Selector = PulseImage.KernelCode, Dpl = 0 },
                Data = start.Data with { Selector = PulseImage.KernelData, Dpl = 0 },
            },
        ]);
        memory.Write((long)start.General.Rip, code);
        machine.Crew.Resume();
        TestPages.AssertEventually(() => machine.Crew.Failure is not null, "the access");
        Assert.StartsWith(
            $"vCPU 0 stopped: {why}, where there is no device, RIP 0x", machine.Crew.Failure, StringComparison.Ordinal);
    }

    private sealed class Counter : IBusDevice
    {
        public List<string> Accesses { get; } = [];

        public bool Read(IVcpu vcpu, ulong offset, Span<byte> into)
        {
            Accesses.Add($"read {into.Length} at {offset}");
            BinaryPrimitives.WriteInt32LittleEndian(into, 41);
            return true;
        }

        public bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from)
        {
            Accesses.Add($"write {from.Length} at {offset}: {BinaryPrimitives.ReadInt32LittleEndian(from)}");
            return true;
        }
    }
}
