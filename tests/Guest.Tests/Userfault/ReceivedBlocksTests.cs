namespace MigrationD.Guest.Tests.Userfault;

public sealed class ReceivedBlocksTests
{
    private const long Length = 8 * GuestPage.BlockSize;

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void Each_block_has_the_ways_in_which_its_pages_came(Placement placement)
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, placement);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.Place(placer, 0, 512, PagePath.Push);
        TestPages.Place(placer, 512 + 7, 1, PagePath.Urgent);
        placer.PlaceZeros((2 * 512) + 500, 512, PagePath.Push);
        TestPages.Place(placer, (3 * 512) + 505, 5, PagePath.Push);
        TestPages.Place(placer, 4 * 512, 3, PagePath.Urgent);
        placer.PlaceZeros((4 * 512) + 3, 1, PagePath.Urgent);
        TestPages.Place(placer, 5 * 512, 1, PagePath.Urgent);
        TestPages.Place(placer, (5 * 512) + 1, 511, PagePath.Push);

        Assert.Equal(
            [
                BlockPaths.Push, BlockPaths.Urgent, BlockPaths.Zero, BlockPaths.Zero | BlockPaths.Push, BlockPaths.Urgent | BlockPaths.Zero,
                BlockPaths.Urgent | BlockPaths.Push, BlockPaths.None, BlockPaths.None,
            ],
            Enumerable.Range(0, incoming.Blocks.Count).Select(incoming.Blocks.Of));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_page_that_comes_again_says_nothing_about_how_it_came()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.Place(placer, 20, 10, PagePath.Push);
        TestPages.Place(placer, 20, 10, PagePath.Urgent);
        placer.PlaceZeros(20, 10, PagePath.Push);

        Assert.Equal(BlockPaths.Push, incoming.Blocks.Of(0));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Each_fault_that_was_served_is_told_of_once()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        var served = new System.Collections.Concurrent.ConcurrentQueue<long>();
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move, served.Enqueue);
        using (new DemandPager(incoming))
        {
            byte[] read = new byte[GuestPage.Size];
            for (long page = 0; page < memory.PageCount; page += 16)
            {
                memory.Read(page << GuestPage.Shift, read);
            }
        }

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((memory.PageCount / 16, counted.FaultLatency.Count), (served.Count, served.Count));
        Assert.Equal(counted.Blocktime, System.Diagnostics.Stopwatch.GetElapsedTime(0, served.Sum()));
    }
}
