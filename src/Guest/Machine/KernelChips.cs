using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>The interrupt controllers that KVM itself has: both PICs and the IOAPIC. Local ones are among the vCPUs' registers.</summary>
internal sealed class KernelIrqchip(KvmVirtualMachine machine) : Device<IrqchipState>("irqchip", sectionVersion: 1, IrqchipState.Parser)
{
    private const int Chips = 3;

    protected override IrqchipState Save() => new()
    {
        // The PICs are 0 and 1, the IOAPIC is 2; a struct kvm_irqchip says itself which one it is.
        Chips = { Enumerable.Range(0, Chips).Select(chip => machine.GetBytes(KvmRequest.GetIrqchip, (uint)chip)) },
    };

    protected override void Check(IrqchipState state)
    {
        int size = KvmObject.SizeOf(KvmRequest.SetIrqchip);
        if (state.Chips.Count != Chips || state.Chips.Any(chip => chip.Length != size))
        {
            throw new GuestStateException($"section '{Name}' does not have three structures of {size} bytes");
        }
    }

    protected override void Load(IrqchipState state)
    {
        foreach (ByteString chip in state.Chips)
        {
            // The number's direction says "read" but the kernel reads the structure, 520 bytes in both requests.
            machine.SetBytes(KvmRequest.SetIrqchip, chip);
        }
    }
}

/// <summary>The timer that KVM itself has.</summary>
internal sealed class KernelPit(KvmVirtualMachine machine) : Device<PitState>("pit", sectionVersion: 1, PitState.Parser)
{
    protected override PitState Save() => new() { State = machine.GetBytes(KvmRequest.GetPit2) };

    protected override void Check(PitState state)
    {
        int size = KvmObject.SizeOf(KvmRequest.SetPit2);
        if (state.State.Length != size)
        {
            throw new GuestStateException($"section '{Name}' has a structure of {state.State.Length} bytes, expected {size}");
        }
    }

    protected override void Load(PitState state) => machine.SetBytes(KvmRequest.SetPit2, state.State);
}
