namespace MigrationD.Guest.Platform;

/// <summary>A vCPU that has left guest code and waits for what a device says: as that device sees it, on the vCPU's own thread.</summary>
internal interface IVcpu
{
    /// <summary>Which one it is, from 0.</summary>
    int Number { get; }

    /// <summary>Its general registers, at or behind the instruction that it left guest code with.</summary>
    GeneralRegisters Registers { get; }

    /// <summary>CR2: the address of its last page fault.</summary>
    ulong FaultAddress { get; }

    /// <summary>Fails the guest, which cannot go on because of this vCPU. The reason has no name of the vCPU in it.</summary>
    void Fail(string why);
}
