namespace MigrationD.Guest.Tests.Userfault;

public sealed class PagePlacerTests
{
    private const long Length = 8 * GuestPage.BlockSize;

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void Pages_that_come_by_every_path_are_the_pages_that_were_sent(Placement placement)
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, placement);
        using (new DemandPager(incoming))
        {
            using PagePlacer placer = incoming.CreatePlacer(8);
            Assert.Equal(512, TestPages.Place(placer, 0, 512));
            Assert.Equal(1, TestPages.Place(placer, 512, 1));
            Assert.Equal(100, TestPages.Place(placer, 600, 100));
            Assert.Equal(512, placer.PlaceZeros(1024, 512, PagePath.Push));
            byte[] read = new byte[GuestPage.Size];
            for (long page = 0; page < memory.PageCount; page++)
            {
                memory.Read(page << GuestPage.Shift, read);
                if (page is >= 1024 and < 1536)
                {
                    Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
                }
                else
                {
                    Assert.True(PageContent.IsWhole(page, read), $"page {page}");
                }
            }
        }

        incoming.Complete();
        PlacementCounters counted = incoming.Counters;
        Assert.Equal(613, counted.PagesPush.Value);
        Assert.Equal(512, counted.PagesZero.Value);
        Assert.Equal(memory.PageCount - 613 - 512, counted.PagesUrgent.Value);
        Assert.Equal(counted.PagesUrgent.Value, counted.FaultLatency.Count);
        Assert.Equal(0, counted.FaultsOpen);
        Assert.Equal(0, counted.BusyFallbacks.Value);
        Assert.Equal(
            memory.PageCount,
            counted.Moves4K.Value + (512 * counted.Moves2M.Value) + counted.Copies.Value + counted.PagesZero.Value);
        Assert.Equal(placement == Placement.Move ? 0 : memory.PageCount - 512, counted.Copies.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Blocks_that_move_whole_are_huge_pages_before_and_after()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        for (long block = 0; block < memory.BlockCount; block++)
        {
            Assert.Equal(512, TestPages.Place(placer, block * GuestPage.PerBlock, GuestPage.PerBlock));
        }

        Assert.Equal((memory.BlockCount, 0), (incoming.Counters.Moves2M.Value, incoming.Counters.Moves4K.Value));
        Assert.Equal($"{Length / 1024} kB", AnonHugePages(memory));
        incoming.Complete();
        Assert.Equal($"{Length / 1024} kB", AnonHugePages(memory));
        TestPages.AssertContent(memory, 0, memory.PageCount);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_run_that_crosses_the_end_of_the_slots_is_staged_in_fresh_pages()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(1);

        // No Refill in between: staging has to find fresh pages by itself, several times over.
        for (long page = 0; page < memory.PageCount; page += 128)
        {
            PageContent.Fill(page, placer.Stage(page, 128));
            Assert.Equal(128, placer.Place(page, 128, PagePath.Push));
        }

        incoming.Complete();
        Assert.Equal((memory.PageCount, 0), (incoming.Counters.Moves4K.Value, incoming.Counters.Copies.Value));
        TestPages.AssertContent(memory, 0, memory.PageCount);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void What_is_received_already_is_dropped_without_asking_the_kernel()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        Assert.Equal(10, TestPages.Place(placer, 20, 10));
        long ioctls = incoming.Counters.Ioctls.Value;

        placer.Stage(20, 10).Fill(0xEE);
        Assert.Equal(0, placer.Place(20, 10, PagePath.Urgent));
        Assert.Equal(0, placer.PlaceZeros(20, 10, PagePath.Push));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((ioctls, 20), (counted.Ioctls.Value, counted.PagesRedundant.Value));
        Assert.Equal((10, 0, 0), (counted.PagesPush.Value, counted.PagesUrgent.Value, counted.PagesZero.Value));
        TestPages.AssertContent(memory, 20, 10);
    }

    private static string AnonHugePages(GuestMemory memory) =>
        File.ReadLines("/proc/self/smaps")
            .SkipWhile(line => !line.StartsWith($"{memory.Address:x}-{memory.Address + (nint)memory.Length:x} ", StringComparison.Ordinal))
            .First(line => line.StartsWith("AnonHugePages:", StringComparison.Ordinal))
            .Split(':')[1]
            .Trim();
}
