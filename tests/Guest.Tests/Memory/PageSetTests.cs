using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Memory;

public sealed class PageSetTests
{
    private enum Step
    {
        Add,
        Remove,
        Union,
        Except,
        Bitmap,
        Clear,
    }

    [Fact]
    public void It_agrees_with_a_set_of_pages()
    {
        Gen<(int Total, (Step Step, int First, int Count)[] Steps)> generator =
            from total in Gen.Choose(1, 300)
            from steps in (from step in Gen.Elements(Step.Add, Step.Add, Step.Remove, Step.Union, Step.Except, Step.Bitmap, Step.Clear)
                           from first in Gen.Choose(0, total - 1)
                           from count in Gen.Choose(1, total - first)
                           select (step, first, count)).ArrayOf()
            select (total, steps);

        Prop.ForAll(generator.ToArbitrary(), input =>
        {
            var set = new PageSet(input.Total);
            var model = new SortedSet<long>();
            foreach ((Step step, int first, int count) in input.Steps)
            {
                Apply(set, model, step, first, count);
            }

            AssertSame(set, model);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Ranges_outside_are_refused()
    {
        var set = new PageSet(100);

        Assert.Throws<ArgumentOutOfRangeException>(() => set.Add(-1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Add(0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Add(0, 101));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Remove(100, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.Remove(long.MaxValue, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.CountIn(99, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => set.TryNextRun(-1, out _, out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PageSet(0));
        Assert.Throws<ArgumentException>(() => set.UnionWith(new PageSet(101)));
        Assert.Throws<ArgumentException>(() => set.ExceptWith(new PageSet(99)));
        Assert.Equal(0, set.Count());
    }

    private static void Apply(PageSet set, SortedSet<long> model, Step step, int first, int count)
    {
        IEnumerable<long> pages = Enumerable.Range(first, count).Select(page => (long)page);
        switch (step)
        {
            case Step.Add:
                set.Add(first, count);
                model.UnionWith(pages);
                break;
            case Step.Remove:
                set.Remove(first, count);
                model.ExceptWith(pages);
                break;
            case Step.Union:
                set.UnionWith(Range(set.PageCount, first, count));
                model.UnionWith(pages);
                break;
            case Step.Except:
                set.ExceptWith(Range(set.PageCount, first, count));
                model.ExceptWith(pages);
                break;
            case Step.Bitmap:
                // From the word on in which the range starts.
                ReadOnlySpan<ulong> words = Range(set.PageCount, first, count).Words[(first / 64)..];
                Assert.Equal(count, set.UnionWith(first / 64 * 64, words));
                model.UnionWith(pages);
                break;
            default:
                set.Clear();
                model.Clear();
                break;
        }
    }

    private static PageSet Range(long total, long first, long count)
    {
        var range = new PageSet(total);
        range.Add(first, count);
        return range;
    }

    private static void AssertSame(PageSet set, SortedSet<long> model)
    {
        Assert.Equal(model.Count, set.Count());
        Assert.Equal(model.Count, set.Words.ToArray().Sum(word => (long)ulong.PopCount(word)));
        for (long page = 0; page < set.PageCount; page++)
        {
            bool expected = model.Contains(page);
            Assert.Equal(expected, set.Contains(page));
            Assert.Equal(expected, (set.Words[(int)(page / 64)] >> (int)(page % 64) & 1) != 0);
            Assert.Equal(model.GetViewBetween(page, set.PageCount).Count, set.CountIn(page, set.PageCount - page));
            long first = First(page, model.Contains);
            long end = First(first, candidate => !model.Contains(candidate));
            Assert.Equal(first < set.PageCount, set.TryNextRun(page, out long found, out long count));
            Assert.Equal((first, end - first), (found, count));
        }

        var through = new List<long>();
        for (long from = 0; set.TryNextRun(from, out long first, out long count); from = first + count)
        {
            through.AddRange(Enumerable.Range((int)first, (int)count).Select(page => (long)page));
        }

        Assert.Equal(model, through);

        long First(long from, Func<long, bool> wanted)
        {
            long page = from;
            while (page < set.PageCount && !wanted(page))
            {
                page++;
            }

            return page;
        }
    }
}
