using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Alone in its collection: other tests map and unmap memory of this process while they run.</summary>
[CollectionDefinition(nameof(MappingCountTests), DisableParallelization = true)]
[Collection(nameof(MappingCountTests))]
public sealed unsafe class MappingCountTests
{
    private const long Pages = 100_352;

    [MachineFact(Needs.Userfaultfd)]
    public void Mappings_do_not_grow_with_the_pages_that_are_placed()
    {
        using GuestMemory memory = GuestMemory.Map(Pages * GuestPage.Size);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(64);
        nint staging = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(placer.Stage(0, 1)));
        Place(placer, 0, 1000);
        (int all, string guest, string staged) before = Count(memory, staging);

        Place(placer, 1000, Pages);

        (int all, string guest, string staged) after = Count(memory, staging);
        Assert.Equal(before.guest, after.guest);
        Assert.Equal(before.staged, after.staged);

        // The runtime has mappings of its own (heap, code): a handful may come, not one per page.
        Assert.InRange(after.all - before.all, -100, 100);
        incoming.Complete();
        Assert.Equal((Pages, 0), (incoming.Counters.Moves4K.Value, incoming.Counters.Copies.Value));
    }

    private static void Place(PagePlacer placer, long first, long end)
    {
        for (long page = first; page < end; page++)
        {
            placer.Stage(page, 1)[0] = 1;
            Assert.Equal(1, placer.Place(page, 1, PagePath.Urgent));
            if (page % 64 == 63)
            {
                placer.Refill();
            }
        }
    }

    /// <summary>How many mappings there are, and those that guest memory and staging lie in, as [start, end) each.</summary>
    private static (int All, string Guest, string Staging) Count(GuestMemory memory, nint staging)
    {
        string[] lines = File.ReadAllLines("/proc/self/maps");
        string Overlapping(nint from, nint to) => string.Join(
            ' ',
            lines.Select(line => line.Split(' ')[0])
                .Where(range => Bound(range, 0) < (ulong)to && Bound(range, 1) > (ulong)from));
        return (lines.Length, Overlapping(memory.Address, memory.Address + (nint)memory.Length), Overlapping(staging, staging + 1));
    }

    private static ulong Bound(string range, int index) =>
        ulong.Parse(range.Split('-')[index], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
