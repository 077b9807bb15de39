using MigrationD.Guest.Devices;

namespace MigrationD.Guest.Programs;

/// <summary>What a machine runs: it knows memory and addresses, and no hypervisor.</summary>
internal interface IProgram
{
    /// <summary>What of RAM a hypervisor itself may read or write, besides the guest: its tables, its code, its stacks.</summary>
    RamPiece TouchedByHypervisors { get; }

    /// <summary>Devices of its own that are saved with it.</summary>
    IReadOnlyList<IDevice> Devices { get; }

    /// <summary>I/O ports of its own.</summary>
    IReadOnlyList<BusRange> Ports { get; }

    /// <summary>
    /// Writes a new guest into its memory, which is all zeros: what a boot loader would have left there. Returns where each vCPU starts.
    /// </summary>
    IReadOnlyList<FirstInstruction> Load(uint tscKhz);

    /// <summary>
    /// A vCPU's state has been loaded where the hypervisor cannot offset its time stamp counter: the counter is ahead of what the guest
    /// should read by so many ticks, and the program has to make up for it, if it can.
    /// </summary>
    void CorrectClock(long ticksAhead, ref GeneralRegisters registers);

    /// <summary>What the guest says about itself.</summary>
    GuestReport Report(uint tscKhz);
}
