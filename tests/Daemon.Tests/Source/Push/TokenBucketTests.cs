using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Push;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class TokenBucketTests
{
    private const long Mebibyte = 1 << 20;
    private const int Message = 2 * (int)Mebibyte;

    [Fact]
    public void Without_a_limit_nobody_waits()
    {
        var bucket = new TokenBucket();
        bucket.Withdraw(long.MaxValue / 2, TimeSpan.Zero);
        bucket.WithdrawUrgent(long.MaxValue / 2, TimeSpan.Zero);
        Assert.Equal(TimeSpan.Zero, bucket.Delay(TimeSpan.Zero));
    }

    [Fact]
    public void A_message_goes_at_once_and_the_next_one_when_it_has_been_made_up_for()
    {
        var bucket = new TokenBucket();
        bucket.SetRate(4 * Mebibyte, TimeSpan.Zero);
        Assert.Equal(TimeSpan.Zero, bucket.Delay(TimeSpan.Zero));
        bucket.Withdraw(Message, TimeSpan.Zero);
        Assert.Equal(TimeSpan.FromSeconds(0.5), bucket.Delay(TimeSpan.Zero));
        Assert.Equal(0.1, bucket.Delay(TimeSpan.FromSeconds(0.4)).TotalSeconds, tolerance: 1e-6);
        Assert.Equal(TimeSpan.Zero, bucket.Delay(TimeSpan.FromSeconds(0.5)));
    }

    [Fact]
    public void Of_an_idle_time_only_the_burst_is_saved_up()
    {
        var bucket = new TokenBucket();
        bucket.SetRate(100 * Mebibyte, TimeSpan.Zero);
        var later = TimeSpan.FromHours(1);
        bucket.Withdraw((long)(100 * Mebibyte * TokenBucket.Burst.TotalSeconds), later);
        Assert.Equal(TimeSpan.Zero, bucket.Delay(later));
        bucket.Withdraw(Mebibyte, later);
        Assert.Equal(0.01, bucket.Delay(later).TotalSeconds, tolerance: 1e-4);
    }

    [Fact]
    public void What_is_owed_is_made_up_for_at_the_rate_that_holds_now()
    {
        var bucket = new TokenBucket();
        bucket.SetRate(Mebibyte, TimeSpan.Zero);
        bucket.Withdraw(Message, TimeSpan.Zero);
        bucket.SetRate(2 * Mebibyte, TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.FromSeconds(0.5), bucket.Delay(TimeSpan.FromSeconds(1)));
        bucket.SetRate(0, TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.Zero, bucket.Delay(TimeSpan.FromSeconds(1)));
        bucket.SetRate(Mebibyte, TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.Zero, bucket.Delay(TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public void What_does_not_wait_is_remembered_for_a_second()
    {
        var bucket = new TokenBucket();
        bucket.SetRate(Mebibyte, TimeSpan.Zero);
        bucket.WithdrawUrgent(1000 * Mebibyte, TimeSpan.Zero);
        Assert.Equal(TokenBucket.LongestMemory, bucket.Delay(TimeSpan.Zero));

        // What the push owes is its own, and not forgiven by that.
        bucket.Withdraw(Message, TimeSpan.Zero);
        bucket.WithdrawUrgent(1000 * Mebibyte, TimeSpan.Zero);
        Assert.Equal(TimeSpan.FromSeconds(3), bucket.Delay(TimeSpan.Zero));
    }

    [Fact]
    public void Over_any_time_no_more_goes_than_the_rate_and_the_burst_and_a_message()
    {
        Arbitrary<(int Rate, int[] Sizes)> cases = (
            from rate in Gen.Choose(1024, 1 << 30)
            from sizes in Gen.Choose(1, Message).ArrayOf(50)
            select (rate, sizes)).ToArbitrary();
        Prop.ForAll(cases, one =>
        {
            var bucket = new TokenBucket();
            TimeSpan now = TimeSpan.Zero;
            bucket.SetRate(one.Rate, now);
            var sent = new List<(TimeSpan At, long Bytes)>();
            foreach (int size in one.Sizes)
            {
                // As long as it says, in steps that no sleep can be shorter than.
                while (bucket.Delay(now) is var delay && delay > TimeSpan.Zero)
                {
                    now += delay > TimeSpan.FromMilliseconds(1) ? delay : TimeSpan.FromMilliseconds(1);
                }

                bucket.Withdraw(size, now);
                sent.Add((now, size));
            }

            for (int from = 0; from < sent.Count; from++)
            {
                long bytes = 0;
                for (int to = from; to < sent.Count; to++)
                {
                    bytes += sent[to].Bytes;
                    double allowed = one.Rate * ((sent[to].At - sent[from].At) + TokenBucket.Burst).TotalSeconds;
                    if (bytes - sent[to].Bytes > allowed + 1)
                    {
                        return false;
                    }
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Whoever_waits_as_long_as_it_says_is_not_slower_than_the_rate()
    {
        var bucket = new TokenBucket();
        TimeSpan now = TimeSpan.Zero;
        bucket.SetRate(10 * Mebibyte, now);
        for (int message = 0; message < 100; message++)
        {
            // Every sleep ends up to 5 ms late.
            now += bucket.Delay(now) is { Ticks: > 0 } delay ? delay + TimeSpan.FromMilliseconds(message % 6) : TimeSpan.Zero;
            bucket.Withdraw(Message, now);
        }

        Assert.InRange(now.TotalSeconds, 19.7, 19.9);
    }
}
