using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Dirty;

namespace MigrationD.Guest.Tests.Dirty;

public sealed class WriteHistoryTests
{
    [Fact]
    public void It_agrees_with_the_list_of_harvests()
    {
        Gen<(int Total, int[][] Harvests, int Room, int Least, int Newest)> generator =
            from total in Gen.Choose(1, 200)
            from harvests in Gen.Choose(0, total - 1).ArrayOf().ArrayOf()
            from room in Gen.Choose(0, total + 5)
            from newest in Gen.Choose(1, WriteHistory.Depth)
            from least in Gen.Choose(1, newest)
            select (total, harvests, room, least, newest);
        Prop.ForAll(generator.ToArbitrary(), input =>
        {
            var history = new WriteHistory(input.Total);
            foreach (int[] harvest in input.Harvests)
            {
                var set = new PageSet(input.Total);
                Array.ForEach(harvest, page => set.Add(page, 1));
                history.Add(set);
            }

            int[] heat = [.. Enumerable.Range(0, input.Total).Select(page => HeatIn(input.Harvests, page))];
            Assert.Equal(heat, Enumerable.Range(0, input.Total).Select(page => (int)history.HeatOf(page)));

            long[] hottest = new long[input.Room];
            int count = history.CopyHottest(hottest, input.Least, input.Newest);
            IEnumerable<long> expected = Enumerable.Range(0, input.Total)
                .Where(page => input.Harvests.Reverse().Take(input.Newest).Count(harvest => harvest.Contains(page)) >= input.Least)
                .OrderByDescending(page => heat[page]).ThenBy(page => page).Select(page => (long)page).Take(input.Room);
            Assert.Equal(expected, hottest.Take(count));
            Assert.All(hottest[count..], page => Assert.Equal(0, page));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_was_written_last_is_before_what_was_written_often()
    {
        var history = new WriteHistory(100);
        var often = new PageSet(100);
        often.Add(70, 1);
        for (int harvest = 0; harvest < 20; harvest++)
        {
            history.Add(often);
        }

        var last = new PageSet(100);
        last.Add(99, 1);
        history.Add(last);
        long[] hottest = new long[5];
        Assert.Equal(2, history.CopyHottest(hottest));
        Assert.Equal([99, 70], hottest.Take(2));
        for (int harvest = 0; harvest < WriteHistory.Depth; harvest++)
        {
            history.Add(new PageSet(100));
        }

        Assert.Equal(0, history.CopyHottest(hottest));
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        var history = new WriteHistory(100);
        Assert.Throws<ArgumentException>(() => history.Add(new PageSet(99)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new WriteHistory(0));
        Assert.Throws<IndexOutOfRangeException>(() => history.HeatOf(100));
        Assert.Throws<IndexOutOfRangeException>(() => history.HeatOf(-1));
    }

    private static int HeatIn(int[][] harvests, int page) => harvests
        .Reverse()
        .Take(WriteHistory.Depth)
        .Select((harvest, age) => harvest.Contains(page) ? 0x80 >> age : 0)
        .Sum();
}
