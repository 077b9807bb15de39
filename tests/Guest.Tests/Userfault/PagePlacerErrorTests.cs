using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Every error that UFFDIO_MOVE has, from the real kernel, and what the placer makes of it.</summary>
public sealed unsafe partial class PagePlacerErrorTests : IDisposable
{
    private const int AdviceDoFork = 11;
    private const int AdviceDoNotNeed = 4;

    private readonly GuestMemory _memory = GuestMemory.Map(4 * GuestPage.BlockSize);
    private IncomingMemory? _incoming;

    public void Dispose()
    {
        _incoming?.Dispose();
        _memory.Dispose();
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void EEXIST_a_page_that_is_there_stays_as_it_is_and_counts_as_redundant(Placement placement)
    {
        IncomingMemory incoming = Register(placement);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.PlaceUnmarked(incoming, 5);
        placer.Stage(5, 1).Fill(0xEE);

        Assert.Equal(1, placer.Place(5, 1, PagePath.Urgent));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((1, 0, 1), (counted.PagesUrgent.Value, counted.PagesRedundant.Value, counted.Ioctls.Value));
        TestPages.AssertContent(_memory, 5, 1);
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void EAGAIN_with_progress_goes_on_behind_a_page_that_is_there(Placement placement)
    {
        IncomingMemory incoming = Register(placement);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.PlaceUnmarked(incoming, 7);

        Assert.Equal(7, TestPages.Place(placer, 4, 7));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((7, 0), (counted.PagesPush.Value, counted.PagesRedundant.Value));
        Assert.True(counted.Retries.Value >= 1, "the kernel did not stop at the page that is there");
        Assert.Equal(0, counted.BusyFallbacks.Value);
        TestPages.AssertContent(_memory, 4, 7);
        Assert.True(incoming.Received.IsReceived(7), "nobody else may know that it is there");
    }

    [MachineFact(Needs.Userfaultfd)]
    public void EAGAIN_with_progress_of_a_zero_run_goes_on_behind_a_page_that_is_there()
    {
        IncomingMemory incoming = Register(Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.PlaceUnmarked(incoming, 7);

        Assert.Equal(10, placer.PlaceZeros(0, 10, PagePath.Urgent));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((10, 9, 0), (counted.PagesZero.Value, counted.PagesZeroUrgent.Value, counted.PagesRedundant.Value));
        Assert.True(counted.Retries.Value >= 1, "the kernel did not stop at the page that is there");
        TestPages.AssertContent(_memory, 7, 1);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void EAGAIN_of_a_huge_page_onto_a_touched_block_places_the_rest_and_the_next_block_moves_whole_again()
    {
        IncomingMemory incoming = Register(Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        TestPages.PlaceUnmarked(incoming, 100);

        Assert.Equal(512, TestPages.Place(placer, 0, 512));
        Assert.Equal(512, TestPages.Place(placer, 512, 512));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((1024, 0), (counted.PagesPush.Value, counted.PagesRedundant.Value));
        Assert.Equal(1, counted.Moves2M.Value);
        Assert.Equal(511, counted.Moves4K.Value + counted.Copies.Value);
        TestPages.AssertContent(_memory, 0, 1024);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_huge_page_is_not_split_for_a_block_that_is_known_to_be_touched()
    {
        IncomingMemory incoming = Register(Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        Assert.Equal(1, TestPages.Place(placer, 100, 1, PagePath.Urgent));

        Assert.Equal(511, TestPages.Place(placer, 0, 512));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal(
            (1, 511, 1, 1),
            (counted.PagesUrgent.Value, counted.PagesPush.Value, counted.PagesRedundant.Value, counted.BlockSplitsAvoided.Value));
        Assert.Equal((1, 0, 511, 0), (counted.Moves4K.Value, counted.Moves2M.Value, counted.Copies.Value, counted.BusyFallbacks.Value));
        TestPages.AssertContent(_memory, 0, 512);
    }

    [MachineTheory(Needs.Userfaultfd | Needs.CCompiler)]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(512)]
    public void EBUSY_pages_shared_with_a_child_are_copied_and_counted(int pageCount)
    {
        IncomingMemory incoming = Register(Placement.Move);
        using var library = new ForkLibrary();
        using PagePlacer placer = incoming.CreatePlacer(8);
        Span<byte> staged = placer.Stage(512, pageCount);
        Advise(staged, AdviceDoFork);
        PageContent.Fill(512, staged);
        library.Fork();

        Assert.Equal(pageCount, placer.Place(512, pageCount, PagePath.Push));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((pageCount, 1), (counted.Copies.Value, counted.BusyFallbacks.Value));
        Assert.Equal((0, 0), (counted.Moves4K.Value, counted.Moves2M.Value));
        TestPages.AssertContent(_memory, 512, pageCount);

        // Refilled, the staging is this process's own again, and pages move as before.
        placer.Refill();
        Assert.Equal(pageCount, TestPages.Place(placer, 1024, pageCount));
        Assert.Equal(1, incoming.Counters.BusyFallbacks.Value);
        Assert.Equal(pageCount, incoming.Counters.Copies.Value);
    }

    [MachineTheory(Needs.Userfaultfd | Needs.CCompiler)]
    [InlineData(1)]
    [InlineData(512)]
    public void A_fork_does_not_share_staging_as_it_is(int pageCount)
    {
        IncomingMemory incoming = Register(Placement.Move);
        using var library = new ForkLibrary();
        using PagePlacer placer = incoming.CreatePlacer(8);
        PageContent.Fill(0, placer.Stage(0, pageCount));
        library.Fork();

        Assert.Equal(pageCount, placer.Place(0, pageCount, PagePath.Push));

        PlacementCounters counted = incoming.Counters;
        Assert.Equal((0, 0), (counted.Copies.Value, counted.BusyFallbacks.Value));
        TestPages.AssertContent(_memory, 0, pageCount);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void ENOENT_a_hole_in_staging_is_loud_and_leaves_the_page_missing()
    {
        IncomingMemory incoming = Register(Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        Span<byte> staged = placer.Stage(0, 3);
        PageContent.Fill(0, staged);
        Advise(staged.Slice(GuestPage.Size, GuestPage.Size), AdviceDoNotNeed);

        var error = Assert.Throws<SystemCallException>(() => placer.Place(0, 3, PagePath.Push));

        Assert.Equal(Errno.ENOENT, error.Error);
        Assert.Contains("UFFDIO_MOVE", error.Message, StringComparison.Ordinal);
        Assert.Equal([true, false, false], new long[] { 0, 1, 2 }.Select(incoming.Received.IsReceived));
        Assert.Equal(1, incoming.Counters.PagesPush.Value);

        // The placer is as good as before: the pages still come.
        placer.Refill();
        Assert.Equal(2, TestPages.Place(placer, 0, 3));
        TestPages.AssertContent(_memory, 0, 3);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void EINVAL_memory_that_is_not_registered_any_more_is_loud()
    {
        IncomingMemory incoming = Register(Placement.Move);
        using PagePlacer placer = incoming.CreatePlacer(8);
        Assert.Equal(Errno.None, incoming.Userfaultfd.Unregister(_memory.Address, _memory.Length));
        PageContent.Fill(0, placer.Stage(0, 1));

        var error = Assert.Throws<SystemCallException>(() => placer.Place(0, 1, PagePath.Push));

        Assert.Equal(Errno.EINVAL, error.Error);
        Assert.False(incoming.Received.IsReceived(0));
    }

    private static void Advise(Span<byte> range, int advice) =>
        Assert.Equal(0, Madvise((nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(range)), (nuint)range.Length, advice));

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(nint address, nuint length, int advice);

    private IncomingMemory Register(Placement placement) => _incoming = IncomingMemory.Register(_memory, placement);
}
