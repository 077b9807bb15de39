using MigrationD.Guest.Platform;

namespace MigrationD.Guest.Tests.Devices;

/// <summary>A vCPU that accesses devices without a machine.</summary>
internal sealed class TestVcpu(int number = 0) : IVcpu
{
    public int Number => number;

    public GeneralRegisters Registers { get; init; }

    public ulong FaultAddress { get; init; }

    public string? Failure { get; private set; }

    public void Fail(string why) => Failure ??= why;
}
