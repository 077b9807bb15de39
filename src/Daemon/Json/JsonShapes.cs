using System.Text.Json.Nodes;
using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Json;

/// <summary>From the protocol's messages to what --json prints; the only place where that is decided.</summary>
internal static class JsonShapes
{
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

    public static GuestReportJson Of(GuestReport report) =>
        new(report.Steps, report.Sweeps, report.CorruptPages, Figure.Milliseconds(report.LargestGapUs));

    public static GuestConsoleJson Of(ConsoleChunk chunk) => new(
        chunk.Offset,
        chunk.Data.IsEmpty ? null : chunk.Data.ToBase64(),
        chunk.Moved is { } moved ? new(moved.To, moved.MigrationId) : null,
        NullIfEmpty(chunk.Notice));

    public static JsonObject Of(Migration migration) => Figure.Document(MigrationFigures.All, new TransferFigures(migration));

    /// <summary>A migration, and the same in the words of QEMU and libvirt.</summary>
    public static JsonObject Detailed(Migration migration)
    {
        var figures = new TransferFigures(migration);
        var json = Figure.Document(MigrationFigures.All, figures);
        json.Add("queryMigrate", Figure.QemuDocument(MigrationFigures.OfQemu, figures));
        json.Add("domJobInfo", Figure.LibvirtDocument(MigrationFigures.OfLibvirt, figures));
        return json;
    }

    /// <summary>A guest of a host that is emptied, with some figures of its migration when it has one.</summary>
    public static JsonObject Of(DrainGuest guest)
    {
        var migration = guest.Migration;
        var json = migration is null ? new JsonObject() : Figure.Document(MigrationFigures.OfDrain, new TransferFigures(migration));
        var reason = guest.Reason.Length > 0 || guest.State != DrainState.Moving ? guest.Reason : migration?.Reason ?? "";
        if (reason.Length > 0)
        {
            json.Insert(0, "reason", reason);
        }

        json.Insert(0, "state", Words.Of(guest.State));
        json.Insert(0, "memoryBytes", guest.MemoryBytes);
        json.Insert(0, "guest", guest.Name);
        return json;
    }

    public static DrainSummaryJson Of(DrainTally tally, TimeSpan time) => new(
        tally.In(DrainState.Stayed).Any() ? "stayed" : "drained",
        time.TotalMilliseconds,
        tally.MovedBytes,
        [.. tally.In(DrainState.Moved).Select(Of)],
        [.. tally.In(DrainState.Stayed).Select(Of)],
        [.. tally.In(DrainState.Gone).Select(Of)],
        [.. tally.Peers.Select(peer =>
            new DrainPeerJson(peer.Address, NullIfEmpty(peer.Name), peer.FreeBytes, NullIfEmpty(peer.Problem)))]);

    public static NodeJson Of(Node node) =>
        new(node.Name, node.Version, node.ProtocolVersions, node.Listen, node.Lanes,
            node.Web.Length > 0 ? node.Web : null, node.ProcessId, node.Drained);

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
        Figure.Milliseconds(after.LargestGapUs));

    public static JsonObject DemoMigration(Migration migration) =>
        Figure.Document(MigrationFigures.OfDemo, new TransferFigures(migration));

    public static TopJson Of(NodeSnapshot snapshot) =>
        new(Of(snapshot.Node), [.. snapshot.Guests.Select(Of)], [.. snapshot.Migrations.Select(Of)]);

    private static string VerdictOf(bool ok) => ok ? "ok" : "failed";

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
