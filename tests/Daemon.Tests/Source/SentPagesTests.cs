using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source;

namespace MigrationD.Daemon.Tests.Source;

public sealed class SentPagesTests
{
    private const int Pages = 300;

    [Fact]
    public void It_does_what_a_set_of_pages_does() =>
        Prop.ForAll(
            (from first in Gen.Choose(0, Pages - 1)
             from end in Gen.Choose(first, Pages)
             from claim in ArbMap.Default.GeneratorFor<bool>()
             select (first, end, claim)).ListOf().ToArbitrary(),
            steps =>
            {
                var sent = new SentPages(Pages);
                var model = new HashSet<long>();
                foreach ((int first, int end, bool claim) in steps)
                {
                    if (claim)
                    {
                        long expected = first;
                        while (expected < end && model.Add(expected))
                        {
                            expected++;
                        }

                        Assert.Equal(expected - first, sent.ClaimRun(first, end));
                    }
                    else
                    {
                        Assert.Equal(model.Add(first), sent.Mark(first));
                    }

                    long next = Enumerable.Range(first, end - first).Select(page => (long)page).FirstOrDefault(page => !model.Contains(page), end);
                    Assert.Equal(next, sent.NextUnsent(first, end));
                }
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_page_claimed_from_both_sides_is_had_by_one()
    {
        var sent = new SentPages(1 << 20);
        int[] claimed = new int[2];
        Parallel.For(0, 2, side =>
        {
            for (long page = 0; page < 1 << 20; page++)
            {
                claimed[side] += sent.Mark(page) ? 1 : 0;
            }
        });
        Assert.Equal(1 << 20, claimed.Sum());
    }

    [Fact]
    public void What_the_destination_holds_is_not_sent_again()
    {
        byte[] received = new byte[16];
        received[0] = 0b0000_0110;
        received[15] = 0b1000_0000;

        var sent = new SentPages(received);

        Assert.Equal(0, sent.NextUnsent(0, 128));
        Assert.Equal(3, sent.NextUnsent(1, 128));
        Assert.Equal(124, sent.ClaimRun(3, 128));
        Assert.False(sent.Mark(127));
        Assert.Equal(127, sent.CountIn(1, 128));
    }

    [Fact]
    public void Marked_pages_are_counted_block_by_block()
    {
        Prop.ForAll(Gen.Choose(0, (4 * 512) - 1).ListOf().ToArbitrary(), pages =>
        {
            var sent = new SentPages(4 * 512);
            foreach (int page in pages)
            {
                sent.Mark(page);
            }

            return sent.CountBlocks().SequenceEqual(
                Enumerable.Range(0, 4).Select(block => pages.Distinct().Count(page => page / 512 == block)));
        }).QuickCheckThrowOnFailure();
    }
}
