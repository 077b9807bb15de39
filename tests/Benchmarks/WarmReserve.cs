using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;

namespace MigrationD.Benchmarks;

/// <summary>
/// Memory that the host has backed, kept until it is given back at the moment at which what is measured needs it. Where this machine is
/// a virtual one its host backs memory at the first touch only, 8 µs a page, and with a balloon that reports free pages it takes them away
/// again two seconds after they were freed: memory that was touched and freed some time ago is as cold as new.
/// </summary>
internal sealed class WarmReserve : IDisposable
{
    // What the kernel and the daemons take besides.
    private const long Slack = 256L << 20;

    private readonly GuestMemory _memory;

    /// <summary>Touches memory for so much content, in huge pages where there are any.</summary>
    /// <exception cref="SystemCallException">The machine has not so much.</exception>
    public WarmReserve(long bytes)
    {
        _memory = GuestMemory.Map((bytes + Slack + GuestPage.BlockSize - 1) / GuestPage.BlockSize * GuestPage.BlockSize);
        if (Libc.Madvise(_memory.Address, (nuint)_memory.Length, Libc.MemoryAdvice.PopulateWrite) != 0)
        {
            var error = SystemCallException.FromLast($"madvise PopulateWrite length=0x{_memory.Length:x} to warm memory up");
            _memory.Dispose();
            throw error;
        }
    }

    /// <summary>Gives it back: the kernel gives out first what was freed last.</summary>
    public void Dispose() => _memory.Dispose();
}
