using System.Diagnostics;
using System.Numerics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Counts latencies in buckets that grow with the value: 32 to each power of two, so that the middle of a bucket is within 1.6 % of
/// whatever fell into it. Any number of threads may record; recording takes no lock and allocates nothing.
/// </summary>
public sealed class LatencyHistogram
{
    private const int SubBucketShift = 5;
    private const int SubBuckets = 1 << SubBucketShift;

    // The unit is 1/1024 µs: a power of two in microseconds is then also the border of a bucket.
    private const int UnitShift = 10;
    private const double UnitsPerMicrosecond = 1 << UnitShift;
    private const int BitsPerValue = 62;
    private const long LargestValue = 1L << (BitsPerValue - 1);
    private const int BucketCount = (BitsPerValue - SubBucketShift + 1) * SubBuckets;

    private static readonly double UnitsPerTick = UnitsPerMicrosecond * 1e6 / Stopwatch.Frequency;

    private readonly long[] _buckets = new long[BucketCount];
    private long _max;

    /// <summary>Records one latency, in ticks of <see cref="Stopwatch"/>; a negative one counts as 0.</summary>
    public void Record(long ticks)
    {
        long value = (long)Math.Min(Math.Max(ticks, 0) * UnitsPerTick, LargestValue);
        _ = Interlocked.Increment(ref _buckets[IndexOf(value)]);
        long max = Volatile.Read(ref _max);
        while (value > max)
        {
            long seen = Interlocked.CompareExchange(ref _max, value, max);
            if (seen == max)
            {
                return;
            }

            max = seen;
        }
    }

    /// <summary>What has been recorded; what is recorded meanwhile is in it or not.</summary>
    public LatencySnapshot Snapshot()
    {
        // 15 KB, on the stack: destinations do this ten times a second for each of their guests.
        Span<long> counts = stackalloc long[BucketCount];
        long total = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            counts[i] = Volatile.Read(ref _buckets[i]);
            total += counts[i];
        }

        // Read after the counts, so that no percentile can lie above it.
        double max = Volatile.Read(ref _max) / UnitsPerMicrosecond;
        return new LatencySnapshot(
            total,
            Percentile(counts, total, 0.5, max),
            Percentile(counts, total, 0.9, max),
            Percentile(counts, total, 0.99, max),
            Percentile(counts, total, 0.999, max),
            max,
            PowersOfTwo(counts));
    }

    private static int IndexOf(long value)
    {
        if (value < SubBuckets)
        {
            return (int)value;
        }

        int shift = BitOperations.Log2((ulong)value) - SubBucketShift;
        return ((shift + 1) << SubBucketShift) + (int)(value >> shift) - SubBuckets;
    }

    private static long LowerBound(int index)
    {
        int shift = Math.Max((index >> SubBucketShift) - 1, 0);
        return (long)(index - (shift << SubBucketShift)) << shift;
    }

    private static double Percentile(ReadOnlySpan<long> counts, long total, double fraction, double max)
    {
        if (total == 0)
        {
            return 0;
        }

        long rank = Math.Max((long)Math.Ceiling(total * fraction), 1);
        long seen = 0;
        int index = 0;
        while ((seen += counts[index]) < rank)
        {
            index++;
        }

        double middle = index < SubBuckets ? index : (LowerBound(index) + LowerBound(index + 1)) / 2.0;
        return Math.Min(middle / UnitsPerMicrosecond, max);
    }

    private static List<LatencyBucket> PowersOfTwo(ReadOnlySpan<long> counts)
    {
        var buckets = new List<LatencyBucket>();
        int end = counts.LastIndexOfAnyExcept(0L) + 1;
        int index = 0;
        for (long below = 1; index < end; below <<= 1)
        {
            long count = 0;
            for (; index < end && LowerBound(index) < below << UnitShift; index++)
            {
                count += counts[index];
            }

            buckets.Add(new LatencyBucket(below, count));
        }

        return buckets;
    }
}

/// <summary>Latencies recorded so far, in microseconds. Percentiles are within 1.6 % of the recorded values.</summary>
/// <param name="Count">How many.</param>
/// <param name="P50">The median; 0 when there are none.</param>
/// <param name="P90">The 90th percentile.</param>
/// <param name="P99">The 99th percentile.</param>
/// <param name="P999">The 99.9th percentile.</param>
/// <param name="Max">The largest, exact.</param>
/// <param name="Buckets">How they are spread, from the first power of two to the last that is not empty.</param>
public sealed record LatencySnapshot(
    long Count,
    double P50,
    double P90,
    double P99,
    double P999,
    double Max,
    IReadOnlyList<LatencyBucket> Buckets);

/// <summary>Latencies below <paramref name="BelowMicroseconds"/> and not below half of it (the first bucket: not below 0).</summary>
/// <param name="BelowMicroseconds">A power of two.</param>
/// <param name="Count">How many there were.</param>
public readonly record struct LatencyBucket(long BelowMicroseconds, long Count);
