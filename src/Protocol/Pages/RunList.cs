namespace MigrationD.Protocol.Pages;

/// <summary>
/// Packs runs of pages or blocks as Forget and PushReport carry them (transport.proto): how far behind the run before, and how many.
/// </summary>
public static class RunList
{
    /// <summary>Packs runs that are in ascending order and do not touch.</summary>
    public static IEnumerable<ulong> Pack(IEnumerable<(long First, long Count)> runs)
    {
        long end = 0;
        foreach ((long first, long count) in runs)
        {
            yield return (ulong)(first - end);
            yield return (ulong)count;
            end = first + count;
        }
    }

    /// <summary>Unpacks runs over <paramref name="total"/> pages or blocks.</summary>
    /// <exception cref="InvalidDataException">A run is empty, or ends past the last one, or its second number is missing.</exception>
    public static IReadOnlyList<(long First, long Count)> Unpack(IReadOnlyList<ulong> packed, long total)
    {
        if (packed.Count % 2 != 0)
        {
            throw new InvalidDataException($"a list of runs has {packed.Count} numbers; there have to be two for each run");
        }

        var runs = new (long First, long Count)[packed.Count / 2];
        ulong left = (ulong)total;
        for (int i = 0; i < runs.Length; i++)
        {
            (ulong gap, ulong count) = (packed[2 * i], packed[(2 * i) + 1]);
            if (count == 0 || gap > left || count > left - gap)
            {
                throw new InvalidDataException(
                    $"run {i} is {count} long and {gap} behind the end of the one before, {(ulong)total - left}; there are {total} in all");
            }

            runs[i] = (total - (long)left + (long)gap, (long)count);
            left -= gap + count;
        }

        return runs;
    }
}
