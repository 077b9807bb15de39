namespace MigrationD.Daemon.Cli.Views;

/// <summary>A distribution over powers of two, line by line as QEMU's monitor prints it since 10.1, with a bar behind.</summary>
internal static class LatencyChart
{
    private const int BarCells = 40;

    private static readonly string[] Units = ["us", "ms", "sec"];

    /// <summary>
    /// One line for each bucket from the first to the last that holds something. A bar is in proportion to its count and never empty for a
    /// bucket that is not.
    /// </summary>
    /// <param name="buckets">Element i counts what is in [2^i, 2^(i+1)) microseconds.</param>
    public static IEnumerable<string> Lines(IReadOnlyList<ulong> buckets)
    {
        var filled = Enumerable.Range(0, buckets.Count).Where(i => buckets[i] > 0).ToArray();
        if (filled.Length == 0)
        {
            yield break;
        }

        var most = buckets.Max();
        for (var i = filled[0]; i <= filled[^1]; i++)
        {
            var bar = new string('█', (int)Math.Ceiling(buckets[i] * (double)BarCells / most));
            yield return $"[ {Time(i),8} - {Time(i + 1),8} ]: {buckets[i],10} {bar}".TrimEnd();
        }
    }

    /// <summary>2^<paramref name="exponent"/> microseconds in the largest unit that they reach, whole units only, as QEMU does.</summary>
    private static string Time(int exponent)
    {
        var (value, unit) = (1UL << exponent, 0);
        while (value >= 1000 && unit + 1 < Units.Length)
        {
            (value, unit) = (value / 1000, unit + 1);
        }

        return $"{value} {Units[unit]}";
    }
}
