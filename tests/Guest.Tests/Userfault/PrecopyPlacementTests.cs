namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Pages that come again before the guest runs, and pages that are taken back.</summary>
public sealed class PrecopyPlacementTests
{
    private const long Length = 3 * GuestPage.BlockSize;

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void What_comes_again_takes_the_place_of_what_was_there(Placement placement)
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, placement);
        using PagePlacer placer = incoming.CreatePlacer(4);
        Replace(placer, 0, GuestPage.PerBlock, 1);
        Replace(placer, 10, 20, 2);
        // Some of it is there, some is not.
        Replace(placer, 1000, 10, 3);
        Replace(placer, 995, 29, 4);

        Assert.Equal((byte)1, First(memory, 9));
        Assert.All(Enumerable.Range(10, 20), page => Assert.Equal((byte)2, First(memory, page)));
        Assert.Equal((byte)1, First(memory, 30));
        Assert.All(Enumerable.Range(995, 29), page => Assert.Equal((byte)4, First(memory, page)));
        PlacementCounters counted = incoming.Counters;
        Assert.Equal(
            (GuestPage.PerBlock + 29, 30L, 0L),
            (counted.PagesPush.Value, counted.PagesReplaced.Value, counted.PagesRedundant.Value));
        Assert.Equal(GuestPage.PerBlock + 29, incoming.Received.Count);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Zeros_take_the_place_of_what_was_there()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(4);
        Replace(placer, 0, GuestPage.PerBlock, 1);

        placer.ReplaceByZeros(500, 24, PagePath.Push);

        Assert.Equal((byte)1, First(memory, 499));
        Assert.All(Enumerable.Range(500, 24), page => Assert.Equal((byte)0, First(memory, page)));
        Assert.Equal(524, incoming.Received.Count);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_page_that_is_taken_back_is_asked_for_and_never_read_as_zeros()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(4);
        Replace(placer, 0, GuestPage.PerBlock, 1);

        // More than has come: the rest was missing before.
        Assert.Equal(12, incoming.Forget(500, 100));

        Assert.Equal(500, incoming.Received.Count);
        byte read = 0;
        var reader = new Thread(() => read = First(memory, 505)) { IsBackground = true };
        reader.Start();
        var faults = new PageFault[4];
        Assert.Equal(1, incoming.WaitFaults(faults));
        Assert.Equal(505, faults[0].Page);
        placer.Stage(505, 1).Fill(9);
        Assert.Equal(1, placer.Place(505, 1, PagePath.Urgent));
        Assert.True(reader.Join(TimeSpan.FromSeconds(30)), "the reader still waits");
        Assert.Equal(9, read);
        Assert.Equal((byte)1, First(memory, 499));
        Assert.Equal(12, incoming.Counters.PagesForgotten.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_whole_block_that_is_taken_back_moves_in_as_one_huge_page_again()
    {
        using GuestMemory memory = GuestMemory.Map(Length);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(4);
        Replace(placer, 0, GuestPage.PerBlock, 1);
        long whole = incoming.Counters.Moves2M.Value;
        incoming.Forget(0, GuestPage.PerBlock);
        placer.Refill();

        Replace(placer, 0, GuestPage.PerBlock, 2);

        Assert.Equal((byte)2, First(memory, 511));
        Assert.Equal(2 * whole, incoming.Counters.Moves2M.Value);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Memory_that_is_complete_is_not_taken_back()
    {
        using GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        using IncomingMemory incoming = IncomingMemory.Register(memory, Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(4);
        Replace(placer, 0, GuestPage.PerBlock, 1);
        incoming.Complete();

        Assert.Throws<InvalidOperationException>(() => incoming.Forget(0, 1));

        Assert.Equal((byte)1, First(memory, 0));
    }

    private static void Replace(PagePlacer placer, long first, int count, byte content)
    {
        placer.Stage(first, count).Fill(content);
        placer.Replace(first, count, PagePath.Push);
        placer.Refill();
    }

    private static byte First(GuestMemory memory, long page)
    {
        byte[] one = new byte[1];
        memory.Read(page << GuestPage.Shift, one);
        return one[0];
    }
}
