using MigrationD.Guest.Platform;

namespace MigrationD.Guest.Devices;

/// <summary>What answers to accesses of vCPUs. Called on their threads, by several at a time.</summary>
internal interface IBusDevice
{
    /// <summary>A vCPU reads.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="offset">Where, from the start of the device's range; the whole access is inside it.</param>
    /// <param name="into">For what it reads, as long as the access.</param>
    /// <returns>False when there is nothing that could be read there in this width.</returns>
    bool Read(IVcpu vcpu, ulong offset, Span<byte> into);

    /// <summary>A vCPU writes.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="offset">As of <see cref="Read"/>.</param>
    /// <param name="from">What it writes, as long as the access.</param>
    /// <returns>False when there is nothing that could be written there in this width.</returns>
    bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from);
}
