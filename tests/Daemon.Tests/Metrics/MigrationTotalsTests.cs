using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Metrics;

public sealed class MigrationTotalsTests
{
    private readonly List<TimeSpan> _downtimes = [];
    private readonly MigrationTotals _totals;
    private readonly MigrationLog _log;

    public MigrationTotalsTests()
    {
        _totals = new MigrationTotals(_downtimes.Add);
        _log = new MigrationLog(_totals.Add);
    }

    [Fact]
    public void Figures_grow_with_the_migration_and_are_counted_once()
    {
        MigrationRecord record = Begin(MigrationRole.Destination);
        ulong urgent = 3;
        record.ReadFrom(() => new LiveFigures((long)urgent * 4096, (long)urgent, new PlacementCounters { PagesUrgent = urgent }), NoMap);
        Assert.Equal((3, 3 * 4096), (_totals.Sums().PagesUrgent, _totals.Sums().BytesReceived));
        urgent = 10;
        Assert.Equal(10, _totals.Sums().PagesUrgent);
        record.Enter(MigrationState.Completed);
        Assert.Equal((10, 10 * 4096), (_totals.Sums().PagesUrgent, _totals.Sums().BytesReceived));
        Assert.Equal(1, _totals.Ended()[(MigrationRole.Destination, MigrationState.Completed)]);
        Assert.Empty(_totals.UnderWay());
    }

    [Fact]
    public void What_the_log_has_forgotten_stays_counted()
    {
        for (int i = 0; i < 1500; i++)
        {
            MigrationRecord record = Begin(MigrationRole.Source);
            record.ReadFrom(() => new LiveFigures(100, 1, null), NoMap);
            record.Change(migration => migration.DowntimeUs = 7000);
            record.Change(migration => migration.Recoveries++);
            record.Enter(MigrationState.Completed);
        }

        Assert.Equal(1000, _log.All().Count);
        Assert.Equal((150_000, 1500), (_totals.Sums().BytesSent, _totals.Sums().RecoveriesAsSource));
        Assert.Equal(1500, _totals.Ended()[(MigrationRole.Source, MigrationState.Completed)]);
        Assert.Equal(1500, _downtimes.Count);
        Assert.All(_downtimes, time => Assert.Equal(TimeSpan.FromMilliseconds(7), time));
    }

    [Fact]
    public void Lost_pages_are_not_lost_any_more_when_the_source_returns()
    {
        MigrationRecord record = Begin(MigrationRole.Destination);
        record.SetPagesLost(40);
        record.Enter(MigrationState.Failed, "the source is gone");
        Assert.Equal(40, _totals.Sums().PagesLost);
        Assert.Empty(_totals.UnderWay());

        record.Revive(() => new LiveFigures(0, 0, null), NoMap);
        Assert.Equal(1, _totals.UnderWay()[(MigrationRole.Destination, MigrationState.PostcopyPaused)]);
        record.Enter(MigrationState.Completed);
        Assert.Equal(0, _totals.Sums().PagesLost);
    }

    [Fact]
    public void A_counter_never_falls_when_a_figure_does()
    {
        MigrationRecord record = Begin(MigrationRole.Source);
        long bytes = 500;
        record.ReadFrom(() => new LiveFigures(bytes, 0, null), NoMap);
        Assert.Equal(500, _totals.Sums().BytesSent);
        bytes = 400;
        Assert.Equal(500, _totals.Sums().BytesSent);
        bytes = 600;
        Assert.Equal(600, _totals.Sums().BytesSent);
    }

    [Fact]
    public void Only_the_last_maps_are_kept()
    {
        MigrationRecord first = Begin(MigrationRole.Source);
        first.ReadFrom(() => new LiveFigures(0, 0, null), () => new RamMap([512], "s"));
        first.Enter(MigrationState.Completed);
        Assert.Equal("s", first.Map()!.Paths);
        for (int i = 0; i < 60; i++)
        {
            Begin(MigrationRole.Source).Enter(MigrationState.Completed);
        }

        Assert.Null(first.Map());
    }

    private static RamMap NoMap() => new([], "");

    private MigrationRecord Begin(MigrationRole role)
    {
        var record = new MigrationRecord(Guid.NewGuid().ToString("N"), "g", role, "peer", MigrationMode.Postcopy, 100);
        _log.Add(record);
        return record;
    }
}
