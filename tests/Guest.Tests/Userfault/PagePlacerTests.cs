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
            Push(placer, 0, 512);
            Push(placer, 512, 1);
            Push(placer, 600, 100);
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
        PlacementSnapshot snapshot = incoming.Snapshot();
        Assert.Equal(613, snapshot.PagesPush);
        Assert.Equal(512, snapshot.PagesZero);
        Assert.Equal(memory.PageCount - 613 - 512, snapshot.PagesUrgent);
        Assert.Equal(snapshot.PagesUrgent, snapshot.FaultLatency.Count);
        Assert.Equal(0, snapshot.FaultsOpen);
        Assert.Equal(0, snapshot.BusyFallbacks);
        Assert.Equal(memory.PageCount, snapshot.Moves4K + (512 * snapshot.Moves2M) + snapshot.Copies + snapshot.PagesZero);
        Assert.Equal(placement == Placement.Move ? 0 : memory.PageCount - 512, snapshot.Copies);
    }

    private static void Push(PagePlacer placer, long first, int count)
    {
        PageContent.Fill(first, placer.Stage(first, count));
        Assert.Equal(count, placer.Place(first, count, PagePath.Push));
        placer.Refill();
    }
}
