using MigrationD.Daemon.Hosting.Systemd;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Hosting.Systemd;

public sealed class UnitStatusTests
{
    private static readonly Migration Leaving = new()
    {
        Guest = "web", Peer = "host-b:7461", Role = MigrationRole.Source, State = MigrationState.PostcopyActive, PagesTotal = 1000,
        PagesReceived = 639,
    };

    [Fact]
    public void Guests_are_counted_by_what_they_do()
    {
        Assert.Equal("no guests", UnitStatus.Describe([], []));
        Assert.Equal("no guests", UnitStatus.Describe([GuestState.Migrated], []));
        Assert.Equal("1 guest running", UnitStatus.Describe([GuestState.Running, GuestState.Migrated], []));
        Assert.Equal("1 guest paused, 1 failed", UnitStatus.Describe([GuestState.Failed, GuestState.Paused], []));
        Assert.Equal(
            "2 guests running, 1 paused, 1 incoming, 3 failed",
            UnitStatus.Describe(
                [
                    GuestState.Failed, GuestState.Running, GuestState.Incoming, GuestState.Running, GuestState.Failed, GuestState.Paused,
                    GuestState.Failed,
                ],
                []));
    }

    [Fact]
    public void Migrations_under_way_are_named_with_how_far_they_are()
    {
        Assert.Equal(
            "2 guests running; web is on its way to host-b:7461, 63 %",
            UnitStatus.Describe([GuestState.Running, GuestState.Running], [Leaving, With(one => one.State = MigrationState.Completed)]));
        Assert.Equal(
            "no guests; web comes from host-b:7461, 63 % (postcopy-paused)",
            UnitStatus.Describe([], [With(one =>
            {
                one.Role = MigrationRole.Destination;
                one.State = MigrationState.PostcopyPaused;
            })]));
    }

    [Fact]
    public void Nothing_is_whole_before_its_last_page()
    {
        Assert.EndsWith(", 99 %", UnitStatus.Describe([], [With(one => one.PagesReceived = 999)]), StringComparison.Ordinal);
        Assert.EndsWith(", 0 %", UnitStatus.Describe([], [With(one => one.PagesTotal = one.PagesReceived = 0)]), StringComparison.Ordinal);
    }

    [Fact]
    public void The_line_stays_short()
    {
        string status = UnitStatus.Describe([], Enumerable.Repeat(Leaving, 7));
        Assert.EndsWith("; 4 more migrations", status, StringComparison.Ordinal);
        Assert.Equal(5, status.Split("; ").Length);
    }

    private static Migration With(Action<Migration> change)
    {
        Migration changed = Leaving.Clone();
        change(changed);
        return changed;
    }
}
