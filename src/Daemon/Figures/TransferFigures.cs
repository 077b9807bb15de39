using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Figures;

/// <summary>What follows from a migration's counters: the figures that people and other tools ask for.</summary>
/// <param name="migration">The migration.</param>
internal sealed class TransferFigures(Migration migration)
{
    /// <summary>Bytes of a page.</summary>
    public const ulong PageSize = 4096;

    private const double NanosecondsPerMicrosecond = 1000;

    /// <summary>What the destination counted; zeros where nothing is known yet.</summary>
    public PlacementCounters Placement { get; } = migration.Placement ?? new PlacementCounters();

    /// <summary>Times from faults to their pages.</summary>
    public LatencySummary FaultLatency => Placement.FaultLatency ?? new LatencySummary();

    /// <summary>RAM, in bytes.</summary>
    public ulong TotalBytes => migration.PagesTotal * PageSize;

    /// <summary>RAM at the destination, in bytes.</summary>
    public ulong ProcessedBytes => migration.PagesReceived * PageSize;

    /// <summary>RAM that is not there yet, in bytes; what is lost is not on its way and counts all the same.</summary>
    public ulong RemainingBytes => TotalBytes - Math.Min(TotalBytes, ProcessedBytes);

    /// <summary>Pages that came with content.</summary>
    public ulong NormalPages => Placement.PagesUrgent + Placement.PagesPush;

    /// <summary>Pages that were pushed and are there: what precopy brought and the guest has written since has been taken back.</summary>
    public ulong PushedPages => Placement.PagesPush - Math.Min(Placement.PagesPush, Placement.PagesForgotten);

    /// <summary>Pages that are there; of which kind, the counters do not say yet.</summary>
    public ulong OtherResidentPages => migration.PagesReceived - Math.Min(migration.PagesReceived, KnownPages);

    /// <summary>Pages that are not there.</summary>
    public ulong MissingPages =>
        migration.PagesTotal - Math.Min(migration.PagesTotal, Math.Max(migration.PagesReceived, KnownPages));

    /// <summary>What precopy sent, in bytes; 0 without it.</summary>
    public ulong PrecopyBytes => migration.Precopy?.Bytes ?? 0;

    /// <summary>Bytes that came after the guest ran at the destination; null before.</summary>
    public ulong? PostcopyBytes =>
        migration.HasDowntimeBytes
        ? migration.BytesSent - Math.Min(migration.BytesSent, PrecopyBytes + migration.DowntimeBytes)
        : null;

    /// <summary>The part of RAM that is there, from 0 to 1.</summary>
    public double Fraction => migration.PagesTotal == 0 ? 0 : Math.Min(1, (double)migration.PagesReceived / migration.PagesTotal);

    /// <summary>10^6 bits a second on all lanes.</summary>
    public double MegabitsPerSecond => migration.BytesPerSecond * 8 / 1e6;

    /// <summary>When the rest will be there at the rate of now; null where pages do not come.</summary>
    public TimeSpan? TimeRemaining => migration.State == MigrationState.PostcopyActive && migration.PagesPerSecond > 0
        ? TimeSpan.FromSeconds(Math.Min(MissingPages / migration.PagesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2))
        : null;

    /// <summary>The mean time from a fault to its page, in nanoseconds; null without faults.</summary>
    public ulong? MeanLatencyNs => Mean(new ThreadWaits { Faults = FaultLatency.Count, BlocktimeUs = Placement.BlocktimeUs });

    private ulong KnownPages => Placement.PagesUrgent + PushedPages + Placement.PagesZero;

    /// <summary>The mean of waits, in nanoseconds; null without any.</summary>
    public static ulong? Mean(ThreadWaits? waits) =>
        waits is { Faults: > 0 } some ? (ulong)(some.BlocktimeUs * NanosecondsPerMicrosecond / some.Faults) : null;
}
