using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Figures of migrations, added up. Pages are those that came here; bytes are counted on the side that they are named after.
/// </summary>
internal struct MigrationSums
{
    public long PagesUrgent;
    public long PagesPush;
    public long PagesZero;
    public long PagesRedundant;
    public long PagesLost;
    public long BytesSent;
    public long BytesReceived;
    public long RecoveriesAsSource;
    public long RecoveriesAsDestination;

    /// <summary>
    /// Adds the difference between two looks at one migration. Only the lost pages may become fewer: a source may come back. What else
    /// seems to have become fewer is put right in <paramref name="now"/>, or it would be counted again when it grows.
    /// </summary>
    public void Add(Migration before, Migration now)
    {
        now.BytesSent = Math.Max(before.BytesSent, now.BytesSent);
        now.Recoveries = Math.Max(before.Recoveries, now.Recoveries);
        long bytes = (long)(now.BytesSent - before.BytesSent);
        long recoveries = now.Recoveries - before.Recoveries;
        if (now.Role == MigrationRole.Source)
        {
            BytesSent += bytes;
            RecoveriesAsSource += recoveries;
            return;
        }

        BytesReceived += bytes;
        RecoveriesAsDestination += recoveries;
        PagesLost += (long)now.PagesLost - (long)before.PagesLost;
        PlacementCounters counted = before.Placement ?? new PlacementCounters();
        PlacementCounters placed = now.Placement ??= counted;
        PagesUrgent += (long)(placed.PagesUrgent - counted.PagesUrgent);
        PagesPush += (long)(placed.PagesPush - counted.PagesPush);
        PagesZero += (long)(placed.PagesZero - counted.PagesZero);
        PagesRedundant += (long)(placed.PagesRedundant - counted.PagesRedundant);
    }
}
