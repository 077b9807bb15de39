namespace MigrationD.Guest.Tests.Userfault;

/// <summary>Readers, placers and the collector, all at the same time.</summary>
public sealed class PlacementRaceTests : IDisposable
{
    private readonly GuestMemory _memory = GuestMemory.Map(16 * GuestPage.BlockSize);
    private IncomingMemory? _incoming;

    public void Dispose()
    {
        _incoming?.Dispose();
        _memory.Dispose();
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void Readers_see_the_whole_page_or_wait(Placement placement)
    {
        IncomingMemory incoming = Register(placement);
        long torn = 0;
        long reads = 0;
        using (new DemandPager(incoming))
        {
            TestThread[] readers = [.. Enumerable.Range(1, 3).Select(seed => new TestThread($"reader {seed}", () =>
            {
                var random = new Random(seed);
                byte[] page = new byte[GuestPage.Size];
                while (!incoming.Received.IsComplete)
                {
                    long index = random.NextInt64(_memory.PageCount);
                    _memory.Read(index << GuestPage.Shift, page);
                    _ = Interlocked.Increment(ref reads);
                    if (!PageContent.IsWhole(index, page))
                    {
                        _ = Interlocked.Increment(ref torn);
                    }
                }
            }))];
            PushInPiecesOfEverySize(incoming);
            Array.ForEach(readers, reader => reader.Join());
        }

        incoming.Complete();
        Assert.Equal(0, torn);
        Assert.True(reads > 0);
        Assert.True(incoming.Counters.PagesUrgent.Value > 0, "no reader was ever ahead of the push");
        AssertEachPageCountedOnce(incoming.Counters);
        TestPages.AssertContent(_memory, 0, _memory.PageCount);
    }

    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(Placement.Move)]
    [InlineData(Placement.Copy)]
    public void Placers_that_race_for_the_same_pages_place_each_once(Placement placement)
    {
        IncomingMemory incoming = Register(placement);
        using var start = new Barrier(3);
        long placed = 0;
        TestThread Placer(string name, PagePath path, int step) => new(name, () =>
        {
            using PagePlacer placer = incoming.CreatePlacer(64);
            Assert.True(start.SignalAndWait(TestPages.Deadline));
            for (long page = 0; page < _memory.PageCount; page += step)
            {
                _ = Interlocked.Add(ref placed, TestPages.Place(placer, page, step, path));
            }
        });
        TestThread[] placers =
        [
            Placer("by page", PagePath.Urgent, 1),
            Placer("by run", PagePath.Push, 64),
            Placer("by block", PagePath.Push, 512),
        ];

        Array.ForEach(placers, placer => placer.Join());

        incoming.Complete();
        Assert.Equal(_memory.PageCount, placed);
        AssertEachPageCountedOnce(incoming.Counters);
        Assert.Equal(2 * _memory.PageCount, incoming.Counters.PagesRedundant.Value);
        TestPages.AssertContent(_memory, 0, _memory.PageCount);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void Collections_from_all_sides_while_threads_wait_for_pages_stop_nothing()
    {
        const int Collections = 101;

        // A thread that waited for a page in managed code would hold up the collection, and the collection the thread that brings the page.
        IncomingMemory incoming = Register(Placement.Move);
        using var done = new CancellationTokenSource();
        TestThread[] storm = [.. Enumerable.Range(1, 2).Select(number => new TestThread($"storm {number}", () =>
        {
            byte[]?[] kept = new byte[64][];
            for (int i = 0; !done.IsCancellationRequested; i++)
            {
                kept[i % kept.Length] = new byte[1000 + (i % 100_000)];
                if (i % 50 == 0)
                {
                    GC.Collect(i % 3, GCCollectionMode.Forced, blocking: true);
                }
            }
        }))];
        int collections = GC.CollectionCount(0);
        long next = -1;
        using (new DemandPager(incoming))
        {
            TestThread[] readers = [.. Enumerable.Range(1, 3).Select(number => new TestThread($"reader {number}", () =>
            {
                byte[] page = new byte[GuestPage.Size];
                for (long index; (index = Interlocked.Increment(ref next)) < _memory.PageCount;)
                {
                    // The storm lasts as long as there are pages to wait for, and does not end up before or behind them.
                    long due = Collections * (index + 1) / _memory.PageCount;
                    TestPages.AssertEventually(() => GC.CollectionCount(0) - collections >= due, "the storm");
                    _memory.Read(index << GuestPage.Shift, page);
                    Assert.True(PageContent.IsWhole(index, page), $"page {index}");
                }
            }))];
            Array.ForEach(readers, reader => reader.Join());
        }

        done.Cancel();
        Array.ForEach(storm, thread => thread.Join());
        incoming.Complete();
        Assert.True(GC.CollectionCount(0) - collections >= Collections, "there was no storm");
        Assert.Equal(_memory.PageCount, incoming.Counters.PagesUrgent.Value);
    }

    private static void AssertEachPageCountedOnce(PlacementCounters counted)
    {
        long total = 16 * GuestPage.PerBlock;
        Assert.Equal(total, counted.PagesUrgent.Value + counted.PagesPush.Value + counted.PagesZero.Value);
        // The kernel does not always say of each page that it has moved it.
        long reported =
            counted.Moves4K.Value + (GuestPage.PerBlock * counted.Moves2M.Value) + counted.Copies.Value + counted.PagesZero.Value;
        Assert.InRange(reported, total - GuestPage.PerBlock, total);
        Assert.Equal(0, counted.FaultsOpen);
        // A page that came while its fault was being entered may have been waited for without having been asked for.
        Assert.InRange(
            counted.FaultLatency.Count, counted.FaultsRequested.Value, counted.FaultsRequested.Value + counted.PrefetchHits.Value);
        Assert.Equal(
            counted.FaultMessages.Value,
            counted.FaultsRequested.Value + counted.FaultsRepeated.Value + counted.PrefetchHits.Value);
    }

    private void PushInPiecesOfEverySize(IncomingMemory incoming)
    {
        using PagePlacer placer = incoming.CreatePlacer(64);
        int[] sizes = [1, 7, 64, 300];
        for (long block = 0; block < _memory.BlockCount; block++)
        {
            long end = (block + 1) * GuestPage.PerBlock;
            long page = block * GuestPage.PerBlock;
            for (int i = 0; page < end; i++)
            {
                int count = block % 2 == 0 ? GuestPage.PerBlock : (int)Math.Min(sizes[i % sizes.Length], end - page);
                _ = TestPages.Place(placer, page, count);
                page += count;
            }
        }
    }

    private IncomingMemory Register(Placement placement) => _incoming = IncomingMemory.Register(_memory, placement);
}
