using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MigrationD.Daemon.Cli.Views;

/// <summary>A daemon with its guests and migrations in one view.</summary>
internal static class TopView
{
    /// <summary>Ended migrations that are shown, the newest ones; those under way are shown all.</summary>
    private const int EndedShown = 10;

    private const int BarCells = 20;

    /// <summary>The view of a daemon as it is now.</summary>
    /// <param name="now">The daemon.</param>
    /// <param name="before">The same a while earlier, for how fast guests are; null when there was none.</param>
    public static IRenderable Of(NodeSnapshot now, NodeSnapshot? before)
    {
        var migrations = Shown(now.Migrations);
        return new Rows(
            new Text(Head(now)),
            new Text(""),
            now.Guests.Count == 0 ? new Text("no guests") : Guests(now, before),
            new Text(""),
            migrations.Count == 0 ? new Text("no migrations") : Migrations(migrations));
    }

    /// <summary>What a guest did each second since <paramref name="before"/>; null where that cannot be said.</summary>
    internal static double? StepsPerSecond(Protocol.V1.Guest guest, NodeSnapshot now, NodeSnapshot? before)
    {
        var earlier = before?.Guests.FirstOrDefault(one => one.Spec.Name == guest.Spec.Name);
        var seconds = before is null ? 0 : (now.At - before.At).TotalSeconds;
        // A guest that was deleted and created anew under its name has made fewer steps than the one before it.
        return earlier?.Report is { } then && guest.Report is { } report && seconds > 0 && report.Steps >= then.Steps
            ? (report.Steps - then.Steps) / seconds
            : null;
    }

    private static List<Migration> Shown(IReadOnlyList<Migration> all) =>
    [
        .. all.Where(one => !MigrationRecord.IsFinalState(one.State)).Reverse(),
        .. all.Where(one => MigrationRecord.IsFinalState(one.State)).Reverse().Take(EndedShown),
    ];

    private static string Head(NodeSnapshot now)
    {
        var running = now.Guests.Count(guest => guest.State == GuestState.Running);
        var underWay = now.Migrations.Count(migration => !MigrationRecord.IsFinalState(migration.State));
        // Without the commit that it was built from.
        var version = now.Node.Version.Split('+')[0];
        return $"{now.Node.Name}  migrationd {version}  process {now.Node.ProcessId}  "
            + $"control {now.Node.Listen}  lanes {now.Node.Lanes}  "
            + $"guests {now.Guests.Count}, running {running}  migrations {now.Migrations.Count}, under way {underWay}"
            + (now.Node.Drained ? "  drained" : "");
    }

    private static Table Guests(NodeSnapshot now, NodeSnapshot? before)
    {
        var table = PlainTable.Of("GUEST", "KIND", "STATE", "MEMORY", "VCPUS", "STEPS/S", "STEPS", "CORRUPT", "MIGRATION");
        foreach (var guest in now.Guests)
        {
            var corrupt = guest.Report?.CorruptPages ?? 0;
            table.AddRow(
                new Text(guest.Spec.Name),
                new Text(Words.Of(guest.Spec.Kind)),
                new Text(Words.Of(guest.State), new Style(guest.State == GuestState.Failed ? Color.Red : Color.Default)),
                new Text(new ByteSize((long)guest.Spec.MemoryBytes).ToString()),
                new Text(Numbers.Number(guest.Spec.Vcpus)),
                new Text(StepsPerSecond(guest, now, before) is { } speed ? Numbers.Number((ulong)speed) : Numbers.Unknown),
                new Text(Numbers.Number(guest.Report?.Steps ?? 0)),
                new Text(Numbers.Number(corrupt), new Style(corrupt > 0 ? Color.Red : Color.Default)),
                new Text(guest.MigrationId.Length > 0 ? guest.MigrationId : Numbers.Unknown));
        }

        return table;
    }

    private static Table Migrations(IReadOnlyList<Migration> migrations)
    {
        var table = PlainTable.Of(
            "MIGRATION", "GUEST", "ROLE", "PEER", "STATE", "RAM", "", "RATE", "ETA", "FAULT P99", "DOWNTIME", "TOTAL");
        foreach (var migration in migrations)
        {
            var figures = new TransferFigures(migration);
            table.AddRow(
                new Text(migration.Id),
                new Text(migration.Guest),
                new Text(Words.Of(migration.Role)),
                new Text(migration.Peer),
                new Text(Words.Of(migration.State)),
                RamBar.Draw(RamBar.Of(migration), BarCells),
                new Text(Numbers.Percent(figures.Fraction)),
                new Text(Numbers.Megabits(figures.MegabitsPerSecond)),
                new Text(Numbers.Duration(figures.TimeRemaining)),
                new Text(figures.FaultLatency.Count > 0 ? Numbers.Microseconds(figures.FaultLatency.P99) : Numbers.Unknown),
                new Text(Numbers.Milliseconds(migration.HasDowntimeUs, migration.DowntimeUs)),
                new Text(Numbers.Milliseconds(migration.TotalUs)));
        }

        return table;
    }
}
