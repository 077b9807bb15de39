using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Tests.Programs.Pulse;

public sealed class WalkTests
{
    public static TheoryData<WalkPattern> Patterns => [WalkPattern.Sequential, WalkPattern.Uniform, WalkPattern.Zipf];

    [Theory]
    [MemberData(nameof(Patterns))]
    public void A_walk_stays_in_its_share_and_comes_to_every_page(WalkPattern pattern)
    {
        Gen<(int Pages, int Vcpu)> shares =
            from pages in Gen.Choose(1, 3000)
            from vcpu in Gen.Choose(0, AddressMap.MaxVcpus - 1)
            select (pages, vcpu);
        Prop.ForAll(shares.ToArbitrary(), share =>
        {
            uint[] zipf = pattern == WalkPattern.Zipf ? ZipfTable.Create(share.Pages) : [];
            var visited = new bool[share.Pages];
            Walk walk = Walk.Start(share.Vcpu);
            long sweep = (long)share.Pages * Walk.SweepEvery;
            for (long step = 0; step < sweep; step++)
            {
                visited[walk.Next(pattern, share.Pages, zipf)] = true;
            }

            return visited.All(v => v) && walk.Steps == sweep;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [MemberData(nameof(Patterns))]
    public void Sweeps_count_whole_passes(WalkPattern pattern)
    {
        const int Pages = 100;
        uint[] zipf = ZipfTable.Create(Pages);
        Walk walk = Walk.Start(0);
        int pass = Pages * (pattern == WalkPattern.Sequential ? 1 : Walk.SweepEvery);
        for (int step = 0; step < (3 * pass) + 1; step++)
        {
            walk.Next(pattern, Pages, zipf);
        }

        // The third is whole when the first page of the fourth is picked.
        Assert.Equal(pattern == WalkPattern.Sequential ? 3 : 2, walk.Sweeps);
    }

    [Fact]
    public void Sequential_visits_one_page_after_the_other()
    {
        Walk walk = Walk.Start(0);
        for (int step = 0; step < 50; step++)
        {
            Assert.Equal(step % 20, walk.Next(WalkPattern.Sequential, 20, []));
        }
    }

    [Fact]
    public void Uniform_likes_all_pages_equally()
    {
        long[] visits = Count(WalkPattern.Uniform, 64, 640_000, []);
        Assert.All(visits, count => Assert.InRange(count, 9_000, 11_000));
    }

    [Fact]
    public void Zipf_likes_few_pages_most()
    {
        const int Pages = 1000;
        long[] visits = [.. Count(WalkPattern.Zipf, Pages, 1_000_000, ZipfTable.Create(Pages)).OrderDescending()];

        // Of the 15 in 16 steps that are drawn, the first page gets 1 / H(1000) = 13.4 %, the k-th a k-th of that.
        double first = 1_000_000 * 15.0 / 16 / 7.485;
        Assert.InRange(visits[0], first * 0.95, first * 1.05);
        Assert.InRange(visits[1], first / 2 * 0.9, first / 2 * 1.1);
        Assert.InRange(visits[9], first / 10 * 0.9, first / 10 * 1.1);
    }

    [Fact]
    public void Every_page_of_a_zipf_table_is_in_the_share_and_small_shares_are_covered()
    {
        Prop.ForAll(Gen.Choose(1, 200_000).ToArbitrary(), pages =>
        {
            uint[] table = ZipfTable.Create(pages);
            return table.Length == ZipfTable.Entries && table.All(page => page < pages);
        }).QuickCheckThrowOnFailure();
        Assert.Equal(1000, ZipfTable.Create(1000).Distinct().Count());
    }

    [Fact]
    public void Walks_of_different_vcpus_differ()
    {
        Walk first = Walk.Start(0);
        Walk second = Walk.Start(1);
        Assert.NotEqual(
            Enumerable.Range(0, 20).Select(_ => first.Next(WalkPattern.Uniform, 1 << 20, [])).ToArray(),
            Enumerable.Range(0, 20).Select(_ => second.Next(WalkPattern.Uniform, 1 << 20, [])).ToArray());
    }

    private static long[] Count(WalkPattern pattern, int pages, int steps, uint[] zipf)
    {
        var visits = new long[pages];
        Walk walk = Walk.Start(0);
        for (int step = 0; step < steps; step++)
        {
            visits[walk.Next(pattern, pages, zipf)]++;
        }

        return visits;
    }
}
