using System.Diagnostics;
using FsCheck;
using FsCheck.Fluent;

namespace MigrationD.Guest.Tests.Userfault;

public sealed class LatencyHistogramTests
{
    private const double RelativeError = 0.017;

    // Below 32 units of 1/1024 µs a bucket holds one value, which the conversion from ticks has rounded down.
    private const double AbsoluteError = 0.001;

    [Fact]
    public void Percentiles_are_those_of_the_sorted_values()
    {
        Gen<long> ticks = Gen.Choose(0, 40).SelectMany(
            shift => Gen.Choose(0, int.MaxValue),
            (shift, mantissa) => (long)((double)mantissa / int.MaxValue * (1L << shift)));
        Prop.ForAll(ticks.NonEmptyListOf().ToArbitrary(), values =>
        {
            var histogram = new LatencyHistogram();
            foreach (long value in values)
            {
                histogram.Record(value);
            }

            double[] sorted = [.. values.Order().Select(value => value * 1e6 / Stopwatch.Frequency)];
            LatencySnapshot snapshot = histogram.Snapshot();
            Assert.Equal(sorted.Length, snapshot.Count);
            AssertClose(Rank(sorted, 0.5), snapshot.P50);
            AssertClose(Rank(sorted, 0.9), snapshot.P90);
            AssertClose(Rank(sorted, 0.99), snapshot.P99);
            AssertClose(Rank(sorted, 0.999), snapshot.P999);
            Assert.Equal(sorted[^1], snapshot.Max, AbsoluteError);
            AssertBuckets(sorted, snapshot.Buckets);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void An_empty_one_is_all_zeros()
    {
        LatencySnapshot snapshot = new LatencyHistogram().Snapshot();

        Assert.Equal((0, 0, 0, 0, 0, 0), (snapshot.Count, snapshot.P50, snapshot.P90, snapshot.P99, snapshot.P999, snapshot.Max));
        Assert.Empty(snapshot.Buckets);
    }

    [Fact]
    public void Values_out_of_all_bounds_are_counted_in_the_outermost_buckets()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(long.MinValue);
        histogram.Record(-1);
        histogram.Record(long.MaxValue);

        LatencySnapshot snapshot = histogram.Snapshot();
        Assert.Equal((3, 0), (snapshot.Count, snapshot.P50));
        Assert.True(snapshot.Max > 1e15);
        Assert.Equal(3, snapshot.Buckets.Sum(bucket => bucket.Count));
    }

    [Fact]
    public void Threads_that_record_lose_nothing_and_allocate_nothing()
    {
        const int PerThread = 100_000;
        var histogram = new LatencyHistogram();
        histogram.Record(5);
        long rounds = 0;
        TestThread[] threads = [.. Enumerable.Range(1, 4).Select(number => new TestThread($"recorder {number}", () =>
        {
            long allocated = Allocations.Of(() =>
            {
                _ = Interlocked.Increment(ref rounds);
                for (int i = 0; i < PerThread; i++)
                {
                    histogram.Record(i * number);
                }
            });
            Assert.Equal(0, allocated);
        }))];
        Array.ForEach(threads, thread => thread.Join());

        LatencySnapshot snapshot = histogram.Snapshot();
        Assert.Equal((rounds * PerThread) + 1, snapshot.Count);
        Assert.Equal((PerThread - 1) * 4 * 1e6 / Stopwatch.Frequency, snapshot.Max, AbsoluteError);
    }

    private static double Rank(double[] sorted, double fraction) => sorted[Math.Max((int)Math.Ceiling(sorted.Length * fraction), 1) - 1];

    private static void AssertClose(double expected, double actual) =>
        Assert.InRange(actual, (expected * (1 - RelativeError)) - AbsoluteError, (expected * (1 + RelativeError)) + AbsoluteError);

    private static void AssertBuckets(double[] sorted, IReadOnlyList<LatencyBucket> buckets)
    {
        double from = 0;
        long below = 1;
        foreach (LatencyBucket bucket in buckets)
        {
            Assert.Equal(below, bucket.BelowMicroseconds);
            Assert.Equal(sorted.Count(value => value >= from && value < below), bucket.Count);
            from = below;
            below *= 2;
        }

        Assert.Equal(sorted.Length, buckets.Sum(bucket => bucket.Count));
        Assert.True(buckets.Count == 0 || buckets[^1].Count > 0, "empty buckets at the end");
    }
}
