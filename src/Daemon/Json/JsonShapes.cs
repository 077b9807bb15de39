using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Json;

/// <summary>From the protocol's messages to what --json prints; the only place where that is decided.</summary>
internal static class JsonShapes
{
    private const double MicrosecondsPerMillisecond = 1000;

    /// <summary>A guest.</summary>
    public static GuestJson Of(Protocol.V1.Guest guest)
    {
        var spec = guest.Spec ?? new GuestSpec();
        return new(
            spec.Name,
            Words.Of(spec.Kind),
            Words.Of(guest.State),
            spec.MemoryBytes,
            spec.Vcpus,
            spec.WorkingSetBytes,
            Words.Of(spec.Pattern),
            Words.Of(spec.Content),
            Of(guest.Report ?? new GuestReport()),
            NullIfEmpty(guest.Failure),
            NullIfEmpty(guest.MigrationId));
    }

    /// <summary>A guest's own counters.</summary>
    public static GuestReportJson Of(GuestReport report) =>
        new(report.Steps, report.Sweeps, report.CorruptPages, report.LargestGapUs / MicrosecondsPerMillisecond);

    /// <summary>A part of a console.</summary>
    public static GuestConsoleJson Of(ConsoleChunk chunk) => new(
        chunk.Offset,
        chunk.Data.IsEmpty ? null : chunk.Data.ToBase64(),
        chunk.Moved is { } moved ? new(moved.To, moved.MigrationId) : null,
        NullIfEmpty(chunk.Notice));

    /// <summary>A migration.</summary>
    public static MigrationJson Of(Migration migration)
    {
        var placement = migration.Placement ?? new PlacementCounters();
        var latency = placement.FaultLatency ?? new LatencySummary();
        return new(
            migration.Id,
            migration.Guest,
            Words.Of(migration.Role),
            migration.Peer,
            Words.Of(migration.Mode),
            Words.Of(migration.State),
            NullIfEmpty(migration.Reason),
            DateTimeOffset.UnixEpoch.AddMicroseconds(migration.StartedUnixUs),
            migration.TotalUs / MicrosecondsPerMillisecond,
            migration.HasSetupUs ? migration.SetupUs / MicrosecondsPerMillisecond : null,
            migration.HasDowntimeUs ? migration.DowntimeUs / MicrosecondsPerMillisecond : null,
            migration.BytesSent,
            migration.HasDowntimeBytes ? migration.DowntimeBytes : null,
            migration.BytesPerSecond,
            migration.PagesPerSecond,
            migration.PagesTotal,
            migration.PagesReceived,
            migration.Recoveries,
            migration.PagesLost,
            placement.PagesUrgent,
            placement.PagesPush,
            placement.PagesZero,
            placement.PagesReplaced,
            placement.PagesForgotten,
            placement.PagesRedundant,
            placement.FaultsRequested,
            placement.PrefetchHits,
            placement.Moves4K,
            placement.Moves2M,
            placement.Copies,
            placement.Retries,
            placement.BusyFallbacks,
            placement.BlockSplitsAvoided,
            placement.Ioctls,
            placement.BlocktimeUs / MicrosecondsPerMillisecond,
            placement.AllVcpusBlocktimeUs / MicrosecondsPerMillisecond,
            [.. placement.Vcpus.Select(Of)],
            Of(placement.OtherThreads ?? new ThreadWaits()),
            Of(latency),
            Of(placement.FaultQueue ?? new LatencySummary()),
            Of(placement.FaultNetwork ?? new LatencySummary()),
            Of(placement.FaultPlace ?? new LatencySummary()),
            latency.Buckets,
            Of(migration.Precopy),
            migration.Limits is { } limits ? Of(limits) : null,
            migration.ReleasedBytes,
            migration.Compression is { } packed ? new(packed.Format, packed.PagesPacked, packed.BytesSaved) : null);
    }

    /// <summary>Precopy; null without it.</summary>
    public static PrecopyJson? Of(PrecopyFigures? precopy) => precopy is null ? null : new(
        precopy.TimeUs / MicrosecondsPerMillisecond, precopy.Rounds, precopy.PagesSent, precopy.Bytes, precopy.DirtyPages,
        precopy.DirtyPagesPerSecond, precopy.PagesPerSecond, NullIfEmpty(precopy.Ended));

    /// <summary>The limits of a migration.</summary>
    public static MigrationLimitsJson Of(MigrationLimits limits) => new(
        limits.Bandwidth == 0 ? null : limits.Bandwidth,
        limits.PostcopyBandwidth == 0 ? null : limits.PostcopyBandwidth,
        limits.HasMaxRounds ? limits.MaxRounds : null,
        limits.HasDowntimeLimitMs ? limits.DowntimeLimitMs : null);

    /// <summary>A migration, and the same in the words of QEMU and libvirt.</summary>
    public static MigrationJson Detailed(Migration migration) =>
        Of(migration) with { QueryMigrate = QueryMigrate(migration), DomJobInfo = DomJobInfo(migration) };

    /// <summary>A migration in QEMU's words.</summary>
    public static QueryMigrateJson QueryMigrate(Migration migration)
    {
        var figures = new TransferFigures(migration);
        var placement = figures.Placement;
        return new(
            Words.Of(migration.State),
            new(
                migration.BytesSent,
                figures.RemainingBytes,
                figures.TotalBytes,
                placement.PagesZero,
                figures.NormalPages,
                figures.NormalPages * TransferFigures.PageSize,
                figures.MegabitsPerSecond,
                (ulong)migration.PagesPerSecond,
                TransferFigures.PageSize,
                migration.Precopy?.Rounds ?? 0,
                (ulong)(migration.Precopy?.DirtyPagesPerSecond ?? 0),
                placement.FaultsRequested,
                figures.PrecopyBytes,
                migration.HasDowntimeBytes ? migration.DowntimeBytes : null,
                figures.PostcopyBytes),
            WholeMilliseconds(migration.TotalUs),
            migration.HasSetupUs ? WholeMilliseconds(migration.SetupUs) : null,
            migration.HasDowntimeUs ? WholeMilliseconds(migration.DowntimeUs) : null,
            NullIfEmpty(migration.Reason),
            WholeMilliseconds(placement.AllVcpusBlocktimeUs),
            placement.Vcpus.Count == 0 ? null : [.. placement.Vcpus.Select(vcpu => WholeMilliseconds(vcpu.BlocktimeUs))],
            figures.MeanLatencyNs,
            figures.FaultLatency.Buckets,
            placement.Vcpus.Count == 0 ? null : [.. placement.Vcpus.Select(vcpu => TransferFigures.Mean(vcpu) ?? 0)],
            TransferFigures.Mean(placement.OtherThreads),
            migration.Precopy is { CpuThrottlePercentage: > 0 and var percent } ? percent : null);
    }

    /// <summary>A migration in libvirt's words.</summary>
    public static DomJobInfoJson DomJobInfo(Migration migration)
    {
        var figures = new TransferFigures(migration);
        return new(
            migration.Role == MigrationRole.Destination ? "Incoming migration" : "Outgoing migration",
            MigrationRecord.IsFinalState(migration.State) ? migration.State == MigrationState.Completed : null,
            NullIfEmpty(migration.Reason),
            WholeMilliseconds(migration.TotalUs),
            figures.TimeRemaining is { } left ? (ulong)left.TotalMilliseconds : null,
            migration.HasDowntimeUs ? WholeMilliseconds(migration.DowntimeUs) : null,
            migration.HasSetupUs ? WholeMilliseconds(migration.SetupUs) : null,
            figures.TotalBytes,
            migration.BytesSent,
            figures.RemainingBytes,
            figures.TotalBytes,
            migration.BytesSent,
            figures.RemainingBytes,
            figures.Placement.PagesZero,
            figures.NormalPages,
            figures.NormalPages * TransferFigures.PageSize,
            (ulong)migration.BytesPerSecond,
            TransferFigures.PageSize,
            migration.Precopy?.Rounds ?? 0,
            (ulong)(migration.Precopy?.DirtyPagesPerSecond ?? 0),
            figures.Placement.FaultsRequested);
    }

    /// <summary>A guest of a host that is emptied.</summary>
    public static DrainGuestJson Of(DrainGuest guest)
    {
        var migration = guest.Migration;
        return new(
            guest.Name,
            guest.MemoryBytes,
            Words.Of(guest.State),
            NullIfEmpty(guest.Reason.Length > 0 || guest.State != DrainState.Moving ? guest.Reason : migration?.Reason ?? ""),
            migration?.Peer,
            migration?.Id,
            migration is null ? null : Words.Of(migration.State),
            migration?.PagesTotal,
            migration?.PagesReceived,
            migration?.BytesSent,
            migration?.BytesPerSecond,
            migration is { HasDowntimeUs: true } ? migration.DowntimeUs / MicrosecondsPerMillisecond : null,
            migration?.TotalUs / MicrosecondsPerMillisecond);
    }

    /// <summary>How a drain ended.</summary>
    public static DrainSummaryJson Of(DrainTally tally, TimeSpan time) => new(
        tally.In(DrainState.Stayed).Any() ? "stayed" : "drained",
        time.TotalMilliseconds,
        tally.MovedBytes,
        [.. tally.In(DrainState.Moved).Select(Of)],
        [.. tally.In(DrainState.Stayed).Select(Of)],
        [.. tally.In(DrainState.Gone).Select(Of)],
        [.. tally.Peers.Select(peer => new DrainPeerJson(peer.Address, NullIfEmpty(peer.Name), peer.FreeBytes, NullIfEmpty(peer.Problem)))]);

    /// <summary>What threads waited.</summary>
    public static ThreadWaitsJson Of(ThreadWaits waits) => new(waits.Faults, waits.BlocktimeUs / MicrosecondsPerMillisecond);

    /// <summary>Percentiles.</summary>
    public static FaultLatencyJson Of(LatencySummary latency) =>
        new(latency.Count, latency.P50, latency.P90, latency.P99, latency.P999, latency.Max);

    /// <summary>A daemon.</summary>
    public static NodeJson Of(Node node) =>
        new(node.Name, node.Version, node.ProtocolVersions, node.Listen, node.Lanes,
            node.Web.Length > 0 ? node.Web : null, node.ProcessId, node.Drained);

    /// <summary>A daemon's health.</summary>
    public static HealthJson Of(Health health) => new(
        VerdictOf(health.Checks.All(check => check.Ok)),
        health.Node,
        [.. health.Checks.Select(check => new DoctorJson.Check(check.Name, VerdictOf(check.Ok), check.Found, NullIfEmpty(check.Remedy)))]);

    /// <summary>The demo's part about the guest: what it was made of, and its counters on the source and at the end.</summary>
    public static DemoJson.GuestPart DemoGuest(GuestSpec spec, GuestReport before, GuestReport after) => new(
        Words.Of(spec.Kind),
        spec.MemoryBytes,
        spec.WorkingSetBytes,
        spec.Vcpus,
        before.Steps,
        after.Steps,
        after.CorruptPages,
        after.LargestGapUs / MicrosecondsPerMillisecond);

    /// <summary>The demo's part about the migration.</summary>
    public static DemoJson.MigrationPart DemoMigration(Migration migration)
    {
        var all = Of(migration);
        return new(all.State, all.TotalMs, all.DowntimeMs, all.BytesSent, all.PagesUrgent, all.PagesPush, all.PagesZero,
            all.PagesRedundant, all.Moves4K, all.Moves2M, all.Copies, all.BlocktimeMs, all.FaultLatencyUs);
    }

    /// <summary>Everything on a daemon.</summary>
    public static TopJson Of(NodeSnapshot snapshot) =>
        new(Of(snapshot.Node), [.. snapshot.Guests.Select(Of)], [.. snapshot.Migrations.Select(Of)]);

    private static ulong WholeMilliseconds(ulong microseconds) => (ulong)Math.Round(microseconds / MicrosecondsPerMillisecond);

    private static string VerdictOf(bool ok) => ok ? "ok" : "failed";

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
