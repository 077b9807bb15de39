using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Dirty;

namespace MigrationD.Guest.Tests.Dirty;

/// <summary>
/// Memory that threads write, without a guest: what becomes of huge pages, holes, and memory that came from another host.
/// </summary>
public sealed class WriteProtectLogTests
{
    private const int Blocks = 4;
    private const int Pages = Blocks * GuestPage.PerBlock;

    [MachineFact(Needs.Userfaultfd)]
    public void Huge_pages_of_clean_blocks_stay_whole()
    {
        using GuestMemory memory = Filled(huge: true);
        using var log = new WriteProtectLog(memory);
        using var scanner = new PageScanner(memory);
        AssertHuge(scanner, 0, 1, 2, 3);
        log.Arm();
        AssertHuge(scanner, 0, 1, 2, 3);

        memory.Write((2L * GuestPage.BlockSize) + (7 * GuestPage.Size), [1]);
        AssertHuge(scanner, 0, 1, 3);

        // One page, and not the block: the others are still protected, as small pages.
        Assert.Equal([(2L * GuestPage.PerBlock) + 7], Harvest(log));
        Assert.Empty(Harvest(log));
        AssertHuge(scanner, 0, 1, 3);
        log.Disarm();
        AssertHuge(scanner, 0, 1, 3);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Memory_that_was_never_touched_stays_untouched_and_comes_as_huge_pages()
    {
        using GuestMemory memory = GuestMemory.Map(Pages * (long)GuestPage.Size);
        using var log = new WriteProtectLog(memory);
        using var scanner = new PageScanner(memory);
        using Pagemap pagemap = Pagemap.TryOpen()!;
        log.Arm();
        Assert.Empty(Harvest(log));
        Assert.False(pagemap.AnyTouched(memory.Address, memory.Address + (nint)memory.Length));

        // The whole huge page is new.
        memory.Write(GuestPage.BlockSize + 5, [1]);
        AssertHuge(scanner, 1);
        Assert.Equal(Enumerable.Range(GuestPage.PerBlock, GuestPage.PerBlock).Select(page => (long)page), Harvest(log));
        AssertHuge(scanner, 1);
        Assert.Empty(Harvest(log));
        memory.Write(GuestPage.BlockSize + 5, [2]);
        Assert.Equal([GuestPage.PerBlock], Harvest(log));
    }

    /// <summary>Small and huge pages, holes, pages only read: whatever is written after a harvest is in the next, once.</summary>
    [MachineFact(Needs.Userfaultfd)]
    public void Harvests_agree_with_what_was_written()
    {
        Gen<(bool Huge, int[] Before, int[] Read, int[][] Rounds)> generator =
            from huge in Gen.Elements(true, false)
            from before in Gen.Choose(0, Pages - 1).ArrayOf()
            from read in Gen.Choose(0, Pages - 1).ArrayOf()
            from rounds in Gen.Choose(0, Pages - 1).ArrayOf().ArrayOf()
            select (huge, before, read, rounds);
        Prop.ForAll(generator.ToArbitrary(), input =>
        {
            using GuestMemory memory = GuestMemory.Map(Pages * (long)GuestPage.Size);
            memory.AllowHugeFaults(input.Huge);
            Write(memory, input.Before, 1);
            using var log = new WriteProtectLog(memory);
            using Pagemap pagemap = Pagemap.TryOpen()!;
            log.Arm();
            Array.ForEach(input.Read, page => memory.Read((long)page << GuestPage.Shift, new byte[1]));
            foreach (int[] round in input.Rounds)
            {
                bool[] wasThere = WhatIsThere(pagemap, memory);
                Write(memory, round, 2);
                var dirty = new PageSet(Pages);
                Assert.Equal(log.HarvestLast(dirty), log.Harvest(dirty));
                Assert.DoesNotContain(round, page => !dirty.Contains(page));
                var written = round.Select(page => (long)page).ToHashSet();
                for (long page = 0; page < Pages; page++)
                {
                    // What was only read since the log was armed may be in the first harvest.
                    if (dirty.Contains(page) && wasThere[page] && !written.Contains(page) && !ReferenceEquals(round, input.Rounds[0]))
                    {
                        Assert.Fail($"page {page} was there, was harvested before, and was not written");
                    }
                }
            }
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>More runs than one call of the kernel tells: each of them is told, and counted once.</summary>
    [MachineFact(Needs.Userfaultfd)]
    public void Every_other_page_is_told_once()
    {
        using GuestMemory memory = Filled(huge: false);
        using var log = new WriteProtectLog(memory);
        log.Arm();
        int[] others = [.. Enumerable.Range(0, Pages).Where(page => page % 2 == 1)];
        Write(memory, others, 1);
        var last = new PageSet(Pages);
        Assert.Equal(others.Length, log.HarvestLast(last));
        Assert.Equal(others.Select(page => (long)page), Harvest(log));
        Assert.Equal(others.Length, last.Count());
        Assert.Empty(Harvest(log));
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Threads_that_write_all_the_time_are_not_missed()
    {
        using GuestMemory memory = Filled(huge: true);
        using var log = new WriteProtectLog(memory);
        log.Arm();
        byte[] copy = new byte[memory.Length];
        memory.Read(0, copy);
        bool ended = false;
        long written = 0;
        TestThread[] writers = [.. Enumerable.Range(1, 3).Select(seed => new TestThread($"writer {seed}", () =>
        {
            var random = new Random(seed);
            for (long value = 1; !Volatile.Read(ref ended); value++)
            {
                memory.Write(((long)random.Next(Pages) << GuestPage.Shift) + (seed * sizeof(long)), BitConverter.GetBytes(value));
                Interlocked.Increment(ref written);
            }
        }))];
        try
        {
            TestPages.AssertEventually(() => Interlocked.Read(ref written) > 1000, "writes");
            for (int round = 0; round < 300; round++)
            {
                CopyHarvest(log, memory, copy);
            }
        }
        finally
        {
            Volatile.Write(ref ended, true);
        }

        Array.ForEach(writers, writer => writer.Join());
        CopyHarvest(log, memory, copy);
        byte[] last = new byte[memory.Length];
        memory.Read(0, last);
        Assert.Equal(-1, FirstDifference(last, copy));
    }

    /// <summary>A guest that came by post-copy and is to go on: not before its last page is here, and then as any other.</summary>
    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void Memory_that_came_from_another_host_is_logged_once_it_is_complete(Placement placement)
    {
        using GuestMemory memory = GuestMemory.Map(Pages * (long)GuestPage.Size);
        using IncomingMemory incoming = IncomingMemory.Register(memory, placement);
        using var log = new WriteProtectLog(memory);
        using (PagePlacer placer = incoming.CreatePlacer(64))
        {
            TestPages.Place(placer, 0, GuestPage.PerBlock);
            var refused = Assert.Throws<InvalidOperationException>(log.Arm);
            Assert.Contains("still to come", refused.Message, StringComparison.Ordinal);
            Assert.False(log.IsArmed);
            for (int block = 1; block < Blocks; block++)
            {
                TestPages.Place(placer, block * GuestPage.PerBlock, GuestPage.PerBlock);
            }
        }

        incoming.Complete();
        log.Arm();
        Assert.Empty(Harvest(log));
        memory.Write(3L * GuestPage.BlockSize, PageContent.Of(3 * GuestPage.PerBlock));
        Assert.Equal([3L * GuestPage.PerBlock], Harvest(log));
        log.Disarm();
        TestPages.AssertContent(memory, 0, Pages);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Blocks_that_lost_their_huge_page_get_it_back_after_the_log()
    {
        using GuestMemory memory = Filled(huge: true);
        using var log = new WriteProtectLog(memory);
        using var scanner = new PageScanner(memory);
        log.Arm();
        memory.Write(GuestPage.BlockSize, [1]);
        // Once it is disarmed the kernel's own thread may come first.
        AssertHuge(scanner, 0, 2, 3);
        log.Disarm();
        int restored = -1;
        using (new HugePageRestorer(memory, [1], count => Volatile.Write(ref restored, count)))
        {
            TestPages.AssertEventually(() => Volatile.Read(ref restored) >= 0, "the restorer's end");
        }

        AssertHuge(scanner, 0, 1, 2, 3);
    }

    /// <summary>A collapse while writes are logged takes no page out of the log.</summary>
    [MachineFact(Needs.Userfaultfd)]
    public void A_collapse_while_it_is_armed_loses_nothing()
    {
        using GuestMemory memory = Filled(huge: false);
        memory.AllowHugeFaults(true);
        using var log = new WriteProtectLog(memory);
        log.Arm();
        Write(memory, [.. Enumerable.Range(GuestPage.PerBlock, GuestPage.PerBlock)], 3);
        memory.Write(5, [4]);
        for (int block = 0; block < Blocks; block++)
        {
            _ = Libc.Madvise(memory.Address + (block * GuestPage.BlockSize), GuestPage.BlockSize, Libc.MemoryAdvice.Collapse);
        }

        // The kernel leaves a block alone that has a protected page, and block 1 has none.
        using var scanner = new PageScanner(memory);
        AssertHuge(scanner, 1);
        var dirty = new PageSet(Pages);
        log.Harvest(dirty);
        Assert.True(dirty.Contains(0));
        Assert.Equal(GuestPage.PerBlock, dirty.CountIn(GuestPage.PerBlock, GuestPage.PerBlock));
        Assert.Equal(1 + GuestPage.PerBlock, dirty.Count());
    }

    private static GuestMemory Filled(bool huge)
    {
        GuestMemory memory = GuestMemory.Map(Pages * (long)GuestPage.Size);
        memory.AllowHugeFaults(huge);
        for (long page = 0; page < Pages; page++)
        {
            memory.Write(page << GuestPage.Shift, PageContent.Of(page));
        }

        return memory;
    }

    private static void Write(GuestMemory memory, int[] pages, byte value) =>
        Array.ForEach(pages, page => memory.Write(((long)page << GuestPage.Shift) + 9, [value]));

    private static bool[] WhatIsThere(Pagemap pagemap, GuestMemory memory)
    {
        bool[] there = new bool[Pages];
        nint end = memory.Address + (nint)memory.Length;
        for (nint at = memory.Address; at < end; at += GuestPage.Size)
        {
            nint missing = pagemap.FirstMissing(at, end);
            nint next = missing == -1 ? end : missing;
            there.AsSpan((int)((at - memory.Address) / GuestPage.Size), (int)((next - at) / GuestPage.Size)).Fill(true);
            at = next;
        }

        return there;
    }

    private static List<long> Harvest(WriteProtectLog log)
    {
        var dirty = new PageSet(Pages);
        long count = log.Harvest(dirty);
        Assert.Equal(dirty.Count(), count);
        return [.. Enumerable.Range(0, Pages).Where(page => dirty.Contains(page)).Select(page => (long)page)];
    }

    private static void CopyHarvest(WriteProtectLog log, GuestMemory memory, byte[] copy)
    {
        foreach (long page in Harvest(log))
        {
            int offset = (int)page * GuestPage.Size;
            memory.Read(offset, copy.AsSpan(offset, GuestPage.Size));
        }
    }

    private static int FirstDifference(byte[] one, byte[] other)
    {
        int common = one.AsSpan().CommonPrefixLength(other);
        return common == one.Length ? -1 : common;
    }

    private static void AssertHuge(PageScanner scanner, params long[] blocks) =>
        Assert.Equal(blocks, Enumerable.Range(0, Blocks).Select(block => (long)block).Where(scanner.IsHuge));
}
