namespace MigrationD.Guest.Devices;

/// <summary>
/// Which device answers at which address: I/O ports, or physical addresses without RAM. Fixed when it is made, before the first vCPU runs,
/// so that nobody who looks needs a lock.
/// </summary>
internal sealed class Bus
{
    private readonly BusRange[] _ranges;

    /// <exception cref="ArgumentException">Two of them overlap, or one is empty or leaves the address space.</exception>
    public Bus(IEnumerable<BusRange> ranges)
    {
        _ranges = [.. ranges.OrderBy(range => range.Start)];
        for (int i = 0; i < _ranges.Length; i++)
        {
            BusRange range = _ranges[i];
            if (range.Length == 0 || range.Length - 1 > ulong.MaxValue - range.Start)
            {
                throw new ArgumentException($"the range of {range.Length} addresses from 0x{range.Start:x} is none", nameof(ranges));
            }

            if (i > 0 && range.Start - _ranges[i - 1].Start < _ranges[i - 1].Length)
            {
                throw new ArgumentException($"two devices want address 0x{range.Start:x}", nameof(ranges));
            }
        }
    }

    /// <summary>Lets a vCPU read; false when no device answers.</summary>
    public bool Read(IVcpu vcpu, ulong address, Span<byte> into) =>
        TryFind(address, into.Length, out BusRange range) && range.Device.Read(vcpu, address - range.Start, into);

    /// <summary>Lets a vCPU write; false when no device answers.</summary>
    public bool Write(IVcpu vcpu, ulong address, ReadOnlySpan<byte> from) =>
        TryFind(address, from.Length, out BusRange range) && range.Device.Write(vcpu, address - range.Start, from);

    private bool TryFind(ulong address, int length, out BusRange found)
    {
        int low = 0;
        int high = _ranges.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            BusRange range = _ranges[middle];
            if (address < range.Start)
            {
                high = middle - 1;
            }
            else if (address - range.Start >= range.Length)
            {
                low = middle + 1;
            }
            else
            {
                // An access that begins in a range and leaves it is nobody's.
                found = range;
                return (ulong)length <= range.Length - (address - range.Start);
            }
        }

        found = default;
        return false;
    }
}

/// <summary>Addresses at which a device answers.</summary>
internal readonly record struct BusRange(ulong Start, ulong Length, IBusDevice Device);

/// <summary>What answers to accesses of vCPUs. Called on their threads, by several at a time.</summary>
internal interface IBusDevice
{
    /// <summary>
    /// Fills <paramref name="into"/> with what a vCPU reads at an offset from the start of the device's range, inside which the whole
    /// access is; false when there is nothing that could be read there in this width.
    /// </summary>
    bool Read(IVcpu vcpu, ulong offset, Span<byte> into);

    /// <summary>Takes what a vCPU writes, as <see cref="Read"/> gives; false when nothing could be written there in this width.</summary>
    bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from);
}
