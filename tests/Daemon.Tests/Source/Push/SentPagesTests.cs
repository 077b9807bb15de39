using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Push;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class SentPagesTests
{
    private const int Pages = 300;

    private enum Step
    {
        Mark,
        MarkAll,
        Claim,
        Remove,
    }

    [Fact]
    public void It_does_what_one_bit_after_the_other_does() =>
        Prop.ForAll(
            (from step in Gen.Elements(Step.Mark, Step.MarkAll, Step.Claim, Step.Claim, Step.Remove)
             from first in Gen.Choose(0, Pages - 1)
             from count in Gen.Frequency((2, Gen.Choose(1, 5)), (1, Gen.Choose(1, Pages)))
             select (step, first, Math.Min(first + count, Pages))).ListOf().ToArbitrary(),
            steps =>
            {
                var sent = new SentPages(Pages);
                bool[] model = new bool[Pages];
                foreach ((Step step, int first, int end) in steps)
                {
                    Apply(sent, model, step, first, end);
                    Assert.Equal(model[first..end].Count(marked => marked), sent.CountIn(first, end));
                    Assert.Equal(first + Unmarked(model[first..end]), sent.NextUnsent(first, end));
                }

                Assert.Equal(model.Count(marked => marked), sent.Count());
                bool[] unsent = new bool[Pages];
                long behind = -1;
                foreach ((long first, long count) in sent.UnsentRuns(Pages))
                {
                    // In order, and as long as they go.
                    Assert.True(first > behind && count > 0);
                    behind = first + count;
                    unsent.AsSpan((int)first, (int)count).Fill(true);
                }

                Assert.Equal(model.Select(marked => !marked), unsent);
            }).QuickCheckThrowOnFailure();

    [Fact]
    public async Task Of_threads_that_claim_runs_of_the_same_pages_each_page_is_had_by_one()
    {
        const int All = 1 << 16;
        var sent = new SentPages(All);
        int[] had = new int[All];
        using var start = new Barrier(4);
        Task[] threads = [.. Enumerable.Range(1, 4).Select(seed => Task.Factory.StartNew(
            () =>
            {
                var random = new Random(seed);
                Assert.True(start.SignalAndWait(TimeSpan.FromSeconds(30)));
                while (sent.NextUnsent(0, All) is var lowest && lowest < All)
                {
                    // In the same words as the others, from the middle of them too, and now and then the lowest, so that it ends.
                    long from = random.Next(8) == 0 ? lowest : Math.Min(lowest + random.Next(256), All - 1);
                    int claimed = sent.ClaimRun(from, Math.Min(from + random.Next(1, 100), All));
                    for (int page = 0; page < claimed; page++)
                    {
                        Interlocked.Increment(ref had[from + page]);
                    }
                }
            },
            TaskCreationOptions.LongRunning))];
        await Task.WhenAll(threads).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.All(had, times => Assert.Equal(1, times));
    }

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

    private static void Apply(SentPages sent, bool[] model, Step step, int first, int end)
    {
        switch (step)
        {
            case Step.Mark:
                Assert.Equal(!model[first], sent.Mark(first));
                model[first] = true;
                break;
            case Step.MarkAll:
                sent.MarkAll(first, end);
                model.AsSpan(first..end).Fill(true);
                break;
            case Step.Claim:
                int claimed = Marked(model[first..end]);
                Assert.Equal(claimed, sent.ClaimRun(first, end));
                model.AsSpan(first, claimed).Fill(true);
                break;
            default:
                var written = new PageSet(Pages);
                written.Add(first, end - first);
                sent.Remove(written);
                model.AsSpan(first..end).Clear();
                break;
        }
    }

    private static int Unmarked(bool[] part) => Array.IndexOf(part, false) is var at and >= 0 ? at : part.Length;

    private static int Marked(bool[] part) => Array.IndexOf(part, true) is var at and >= 0 ? at : part.Length;
}
