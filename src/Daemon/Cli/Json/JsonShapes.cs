using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Json;

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
            Words.Of(migration.State),
            NullIfEmpty(migration.Reason),
            DateTimeOffset.UnixEpoch.AddMicroseconds(migration.StartedUnixUs),
            migration.TotalUs / MicrosecondsPerMillisecond,
            migration.DowntimeUs / MicrosecondsPerMillisecond,
            migration.BytesSent,
            migration.PagesTotal,
            migration.PagesReceived,
            migration.Recoveries,
            migration.PagesLost,
            placement.PagesUrgent,
            placement.PagesPush,
            placement.PagesZero,
            placement.PagesRedundant,
            placement.Moves4K,
            placement.Moves2M,
            placement.Copies,
            placement.Retries,
            placement.BusyFallbacks,
            placement.BlockSplitsAvoided,
            placement.Ioctls,
            placement.BlocktimeUs / MicrosecondsPerMillisecond,
            Of(latency),
            latency.Buckets);
    }

    /// <summary>Percentiles.</summary>
    public static FaultLatencyJson Of(LatencySummary latency) =>
        new(latency.Count, latency.P50, latency.P90, latency.P99, latency.P999, latency.Max);

    /// <summary>A daemon.</summary>
    public static NodeJson Of(Node node) =>
        new(node.Name, node.Version, node.ProtocolVersions, node.Listen, node.Lanes, node.ProcessId);

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

    private static string VerdictOf(bool ok) => ok ? "ok" : "failed";

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
