using MigrationD.Daemon.Migrations;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Migrations;

public sealed class MigrationPlanTests
{
    [Fact]
    public void What_is_not_named_stays()
    {
        var plan = Plan(MigrationMode.Precopy);
        var changed = plan.With(new SetMigrationRequest { Bandwidth = 7000 });
        Assert.Equal(plan with { Bandwidth = 7000 }, changed);
        Assert.Equal(
            plan with { Precopy = plan.Precopy with { MaxRounds = 5, Downtime = TimeSpan.FromMilliseconds(40) } },
            plan.With(new SetMigrationRequest { MaxRounds = 5, DowntimeLimitMs = 40 }));
        Assert.Equal(0, plan.With(new SetMigrationRequest { Bandwidth = 0 }).Bandwidth);
    }

    [Theory]
    [InlineData(MigrationMode.Postcopy, "{ \"maxRounds\": 3 }", "no rounds")]
    [InlineData(MigrationMode.Hybrid, "{ \"maxRounds\": 0 }", "start-postcopy")]
    [InlineData(MigrationMode.Hybrid, "{ \"downtimeLimitMs\": 3 }", "pure precopy")]
    [InlineData(MigrationMode.Precopy, "{ \"downtimeLimitMs\": 0 }", "1ms")]
    [InlineData(MigrationMode.Precopy, "{ \"postcopyBandwidth\": \"3\" }", "after the switchover")]
    [InlineData(MigrationMode.Hybrid, "{ }", "nothing is to be changed")]
    public void What_makes_no_sense_is_refused(MigrationMode mode, string change, string reason)
    {
        var refusal = Assert.Throws<ArgumentException>(() => Plan(mode).With(SetMigrationRequest.Parser.ParseJson(change)));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_limits_that_a_migration_has_are_shown()
    {
        Assert.Equal(
            new MigrationLimits { Bandwidth = 5000, PostcopyBandwidth = 3000, MaxRounds = 30, DowntimeLimitMs = 300 },
            Plan(MigrationMode.Precopy).Limits());
        Assert.Equal(
            new MigrationLimits { Bandwidth = 5000, PostcopyBandwidth = 3000, MaxRounds = 30 }, Plan(MigrationMode.Hybrid).Limits());
        Assert.Equal(new MigrationLimits { Bandwidth = 5000, PostcopyBandwidth = 3000 }, Plan(MigrationMode.Postcopy).Limits());
    }

    [Theory]
    [InlineData(MigrationMode.Postcopy, "postcopy")]
    [InlineData(MigrationMode.Hybrid, "hybrid")]
    [InlineData(MigrationMode.Unspecified, "hybrid")]
    public void Only_a_guest_that_moves_by_precopy_can_be_held_back(MigrationMode mode, string name)
    {
        var refusal = Assert.Throws<Refusal>(
            () => MigrationPlan.Of(new MigrateRequest { Guest = "web", Mode = mode, AutoConverge = true }));
        Assert.Equal(Because.Invalid, refusal.Why);
        Assert.Contains($"guest 'web' cannot be held back in mode {name}: --auto-converge needs --mode precopy", refusal.Message,
            StringComparison.Ordinal);
        Assert.True(MigrationPlan.Of(new MigrateRequest { Mode = MigrationMode.Precopy, AutoConverge = true }).AutoConverge);
    }

    private static MigrationPlan Plan(MigrationMode mode) => MigrationPlan.Of(
        new MigrateRequest { To = "127.0.0.1:1", Mode = mode, Bandwidth = 5000, PostcopyBandwidth = 3000 });
}
