using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Migrations;

public sealed class MigrationRecordTests
{
    [Fact]
    public void Only_the_last_three_states_are_final() =>
        Assert.Equal(
            [MigrationState.Completed, MigrationState.Failed, MigrationState.Cancelled],
            Enum.GetValues<MigrationState>().Where(MigrationRecord.IsFinalState));

    [Fact]
    public void What_is_not_known_yet_is_absent()
    {
        var record = new MigrationRecord("m1", "web", MigrationRole.Source, "127.0.0.1:1", MigrationMode.Postcopy, 1024);
        var snapshot = record.Snapshot();
        Assert.Equal((false, false, false), (snapshot.HasDowntimeUs, snapshot.HasSetupUs, snapshot.HasDowntimeBytes));
    }

    [Fact]
    public void Setup_ends_with_the_switchover_and_is_not_measured_again()
    {
        var record = new MigrationRecord("m1", "web", MigrationRole.Source, "127.0.0.1:1", MigrationMode.Postcopy, 1024);
        record.Enter(MigrationState.Device);
        var setup = record.Snapshot();
        Assert.True(setup.HasSetupUs);
        Assert.InRange(setup.SetupUs, 0UL, setup.TotalUs);
        record.Enter(MigrationState.Device, "the answer to Run is lost");
        Assert.Equal(setup.SetupUs, record.Snapshot().SetupUs);
    }

    [Fact]
    public void Precopy_ends_with_the_switchover_and_is_not_measured_again()
    {
        var record = new MigrationRecord("m1", "web", MigrationRole.Source, "127.0.0.1:1", MigrationMode.Hybrid, 1024);
        record.Enter(MigrationState.PrecopyActive);
        record.Enter(MigrationState.Device);
        var ended = record.Snapshot();
        Assert.InRange(ended.Precopy.TimeUs, 0UL, ended.TotalUs);
        record.Enter(MigrationState.Device, "handing over");
        Assert.Equal(ended.Precopy, record.Snapshot().Precopy);
    }

    [Fact]
    public void Bytes_are_split_at_the_moment_the_guest_runs()
    {
        var record = new MigrationRecord("m1", "web", MigrationRole.Source, "127.0.0.1:1", MigrationMode.Postcopy, 1024);
        var sent = 5000L;
        record.ReadFrom(() => new LiveFigures(sent, sent / 100, null), () => new RamMap([], ""));
        record.MarkSwitchover();
        sent = 90_000;
        record.Enter(MigrationState.Completed);
        var snapshot = record.Snapshot();
        Assert.Equal((90_000UL, 5000UL), (snapshot.BytesSent, snapshot.DowntimeBytes));
        Assert.True(snapshot.BytesPerSecond > 0);
        Assert.Equal(snapshot.BytesPerSecond / 100, snapshot.PagesPerSecond, snapshot.PagesPerSecond * 1e-6);
    }
}
