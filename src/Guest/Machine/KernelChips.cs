using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Machine;

/// <summary>The interrupt controllers that KVM itself has: both PICs and the IOAPIC. Local ones are among the vCPUs' registers.</summary>
internal sealed class KernelIrqchip(KvmVirtualMachine machine) : Device<IrqchipState>("irqchip", sectionVersion: 1, IrqchipState.Parser)
{
    private const uint Chips = 3;

    /// <inheritdoc/>
    protected override IrqchipState Save()
    {
        var state = new IrqchipState();
        for (uint chip = 0; chip < Chips; chip++)
        {
            state.Chips.Add(ByteString.CopyFrom(machine.GetIrqchip(chip)));
        }

        return state;
    }

    /// <inheritdoc/>
    protected override void Check(IrqchipState state)
    {
        int size = KvmIoctl.SizeOf(KvmRequest.SetIrqchip);
        if (state.Chips.Count != Chips || state.Chips.Any(chip => chip.Length != size))
        {
            throw new GuestStateException($"section '{Name}' does not have three structures of {size} bytes");
        }
    }

    /// <inheritdoc/>
    protected override void Load(IrqchipState state)
    {
        foreach (ByteString chip in state.Chips)
        {
            machine.SetIrqchip(chip.Span);
        }
    }
}

/// <summary>The timer that KVM itself has.</summary>
internal sealed class KernelPit(KvmVirtualMachine machine) : Device<PitState>("pit", sectionVersion: 1, PitState.Parser)
{
    /// <inheritdoc/>
    protected override PitState Save() => new() { State = ByteString.CopyFrom(machine.GetPit()) };

    /// <inheritdoc/>
    protected override void Check(PitState state)
    {
        int size = KvmIoctl.SizeOf(KvmRequest.SetPit2);
        if (state.State.Length != size)
        {
            throw new GuestStateException($"section '{Name}' has a structure of {state.State.Length} bytes, expected {size}");
        }
    }

    /// <inheritdoc/>
    protected override void Load(PitState state) => machine.SetPit(state.State.Span);
}
