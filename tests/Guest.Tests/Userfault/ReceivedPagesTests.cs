using System.Collections.Concurrent;
using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Userfault;

public sealed class ReceivedPagesTests
{
    [Fact]
    public void It_agrees_with_a_set_of_pages()
    {
        Gen<(int Total, (int First, int Count)[] Marks)> generator =
            from total in Gen.Choose(1, 300)
            from marks in (from first in Gen.Choose(0, total - 1)
                           from count in Gen.Choose(1, total - first)
                           select (first, Math.Min(count, 90))).ArrayOf()
            select (total, marks);

        Prop.ForAll(generator.ToArbitrary(), input =>
        {
            var received = new ReceivedPages(input.Total);
            var model = new SortedSet<long>();
            foreach ((int first, int count) in input.Marks)
            {
                long newly = Enumerable.Range(first, count).Count(page => model.Add(page));
                Assert.Equal(newly, received.Mark(first, count));
            }

            AssertSame(received, model);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Of_threads_that_mark_the_same_pages_one_is_told_for_each_page()
    {
        const int Total = 20_000;
        var received = new ReceivedPages(Total);
        var newly = new ConcurrentBag<long>();
        var counter = new PlacementCounter();
        TestThread[] threads = [.. Enumerable.Range(1, 4).Select(seed => new TestThread($"marker {seed}", () =>
        {
            long mine = 0;
            var random = new Random(seed);
            while (!received.IsComplete)
            {
                long first = received.NextMissing(random.Next(Total));
                if (first < Total)
                {
                    mine += received.Mark(first, Math.Min(random.Next(1, 200), Total - first), counter);
                }
                else if (received.NextMissing(0) is var lowest && lowest < Total)
                {
                    mine += received.Mark(lowest, 1, counter);
                }
            }

            // Nobody who finds everything received may find less of it counted.
            Assert.Equal(Total, counter.Value);
            newly.Add(mine);
        }))];

        Array.ForEach(threads, thread => thread.Join());

        Assert.Equal(Total, newly.Sum());
        Assert.Equal(Total, received.Count);
    }

    [Fact]
    public void Ranges_outside_are_refused()
    {
        var received = new ReceivedPages(100);

        Assert.Throws<ArgumentOutOfRangeException>(() => received.Mark(-1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.Mark(0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.Mark(0, 101));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.Mark(100, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.Mark(long.MaxValue, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ReceivedPages(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.NextMissing(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => received.NextReceived(-1));
        Assert.Equal(0, received.Count);
    }

    private static void AssertSame(ReceivedPages received, SortedSet<long> model)
    {
        Assert.Equal(model.Count, received.Count);
        Assert.Equal(model.Count == received.Total, received.IsComplete);
        byte[] bytes = received.ToBytes();
        Assert.Equal(model.Count, bytes.Sum(part => byte.PopCount(part)));
        for (long page = 0; page < received.Total; page++)
        {
            bool expected = model.Contains(page);
            Assert.Equal(expected, received.IsReceived(page));
            Assert.Equal(expected, (bytes[page / 8] >> (int)(page % 8) & 1) != 0);
            Assert.Equal(First(page, candidate => !model.Contains(candidate)), received.NextMissing(page));
            Assert.Equal(First(page, model.Contains), received.NextReceived(page));
            Assert.Equal(model.GetViewBetween(page, received.Total).Count, received.CountIn(page, received.Total - page));
        }

        long First(long from, Func<long, bool> wanted)
        {
            long page = from;
            while (page < received.Total && !wanted(page))
            {
                page++;
            }

            return page;
        }
    }
}
