namespace MigrationD.Protocol.Pages;

/// <summary>Runs of pages as Forget and LoadState carry them (transport.proto): how far behind the run before, and how many.</summary>
public static class StaleRuns
{
    /// <summary>Packs runs that are in ascending order and do not touch.</summary>
    public static IEnumerable<ulong> Pack(IEnumerable<(long First, long Count)> runs)
    {
        ArgumentNullException.ThrowIfNull(runs);
        long end = 0;
        foreach ((long first, long count) in runs)
        {
            yield return (ulong)(first - end);
            yield return (ulong)count;
            end = first + count;
        }
    }

    /// <summary>Unpacks runs over <paramref name="pages"/> pages.</summary>
    /// <exception cref="InvalidDataException">A run is empty, or ends past the last page, or its second number is missing.</exception>
    public static IReadOnlyList<(long First, long Count)> Unpack(IReadOnlyList<ulong> packed, long pages)
    {
        ArgumentNullException.ThrowIfNull(packed);
        if (packed.Count % 2 != 0)
        {
            throw new InvalidDataException($"stale runs are {packed.Count} numbers; there have to be two for each run");
        }

        var runs = new (long First, long Count)[packed.Count / 2];
        ulong left = (ulong)pages;
        for (int i = 0; i < runs.Length; i++)
        {
            (ulong gap, ulong count) = (packed[2 * i], packed[(2 * i) + 1]);
            if (count == 0 || gap > left || count > left - gap)
            {
                throw new InvalidDataException(
                    $"stale run {i} is {count} pages, {gap} behind page {(ulong)pages - left}; there are {pages} pages");
            }

            runs[i] = (pages - (long)left + (long)gap, (long)count);
            left -= gap + count;
        }

        return runs;
    }
}
