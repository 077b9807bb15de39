using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>
/// What a migration allocates on the managed heap whatever its size, taken from a guest with next to no memory. What a larger guest's
/// allocates beyond that is the data path's.
/// </summary>
internal sealed record SetupAllocation(IReadOnlyDictionary<GuestKind, MigrationFigures> Small)
{
    /// <summary>Bytes that the data path allocated on each side for each gigabyte.</summary>
    public (double Source, double Destination) On((MigrationCase Case, MigrationFigures Figures) one)
    {
        MigrationFigures small = Small[one.Case.Kind];
        double gigabytes = one.Figures.Gigabytes - small.Gigabytes;
        return gigabytes <= 0
            ? (0, 0)
            : (Math.Max(0, one.Figures.SourceAllocatedBytes - small.SourceAllocatedBytes) / gigabytes,
                Math.Max(0, one.Figures.DestinationAllocatedBytes - small.DestinationAllocatedBytes) / gigabytes);
    }

    /// <summary>What it came to, and that it is not counted.</summary>
    public string Note() =>
        "Managed allocation is what a migration allocates beyond that of a guest of 16 MiB in the same run: "
        + string.Join("; ", Small.Select(one =>
            $"{one.Key.ToString().ToLowerInvariant()}: {Format.Number(one.Value.SourceAllocatedBytes / 1024)} KiB on the source and "
            + $"{Format.Number(one.Value.DestinationAllocatedBytes / 1024)} KiB on the destination"))
        + ".";
}
