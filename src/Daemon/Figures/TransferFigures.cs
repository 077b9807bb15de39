using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Figures;

/// <summary>What follows from a migration's counters: the figures that people and other tools ask for.</summary>
/// <param name="migration">The migration.</param>
internal sealed class TransferFigures(Migration migration)
{
    /// <summary>Bytes of a page.</summary>
    public const ulong PageSize = 4096;

    private const double NanosecondsPerMicrosecond = 1000;

    public Migration Migration { get; } = migration;

    /// <summary>What the destination counted; zeros where nothing is known yet.</summary>
    public PlacementCounters Placement { get; } = migration.Placement ?? new PlacementCounters();

    /// <summary>What was sent before the switchover; zeros without precopy.</summary>
    public PrecopyFigures Precopy { get; } = migration.Precopy ?? new PrecopyFigures();

    /// <summary>Times from faults to their pages.</summary>
    public LatencySummary FaultLatency => Placement.FaultLatency ?? new LatencySummary();

    /// <summary>RAM, in bytes.</summary>
    public ulong TotalBytes => Migration.PagesTotal * PageSize;

    /// <summary>RAM at the destination, in bytes.</summary>
    public ulong ProcessedBytes => Migration.PagesReceived * PageSize;

    /// <summary>RAM that is not there yet, in bytes; what is lost is not on its way and counts all the same.</summary>
    public ulong RemainingBytes => TotalBytes - Math.Min(TotalBytes, ProcessedBytes);

    /// <summary>Pages that came with content.</summary>
    public ulong NormalPages => Placement.PagesUrgent + Placement.PagesPush;

    /// <summary>Pages that were pushed and are there: what precopy brought and the guest has written since has been taken back.</summary>
    public ulong PushedPages => Placement.PagesPush - Math.Min(Placement.PagesPush, Placement.PagesForgotten);

    /// <summary>Pages that are there; of which kind, the counters do not say yet.</summary>
    public ulong OtherResidentPages => Migration.PagesReceived - Math.Min(Migration.PagesReceived, KnownPages);

    /// <summary>Pages that are not there.</summary>
    public ulong MissingPages =>
        Migration.PagesTotal - Math.Min(Migration.PagesTotal, Math.Max(Migration.PagesReceived, KnownPages));

    /// <summary>Bytes that came after the guest ran at the destination; null before.</summary>
    public ulong? PostcopyBytes =>
        Migration.HasDowntimeBytes
        ? Migration.BytesSent - Math.Min(Migration.BytesSent, Precopy.Bytes + Migration.DowntimeBytes)
        : null;

    /// <summary>The part of RAM that is there, from 0 to 1.</summary>
    public double Fraction => Migration.PagesTotal == 0 ? 0 : Math.Min(1, (double)Migration.PagesReceived / Migration.PagesTotal);

    /// <summary>10^6 bits a second on all lanes.</summary>
    public double MegabitsPerSecond => Migration.BytesPerSecond * 8 / 1e6;

    /// <summary>When the rest will be there at the rate of now; null where pages do not come.</summary>
    public TimeSpan? TimeRemaining => Migration.State == MigrationState.PostcopyActive && Migration.PagesPerSecond > 0
        ? TimeSpan.FromSeconds(Math.Min(MissingPages / Migration.PagesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2))
        : null;

    /// <summary>The mean time from a fault to its page, in nanoseconds; null without faults.</summary>
    public ulong? MeanLatencyNs => Mean(new ThreadWaits { Faults = FaultLatency.Count, BlocktimeUs = Placement.BlocktimeUs });

    private ulong KnownPages => Placement.PagesUrgent + PushedPages + Placement.PagesZero;

    /// <summary>The mean of waits, in nanoseconds; null without any.</summary>
    public static ulong? Mean(ThreadWaits? waits) =>
        waits is { Faults: > 0 } some ? (ulong)(some.BlocktimeUs * NanosecondsPerMicrosecond / some.Faults) : null;
}
