using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>When precopy goes on, when it hands over, and when it gives up.</summary>
public sealed class PrecopyPolicyTests
{
    private const long All = 262_144;

    private static readonly PrecopyLimits Hybrid = PrecopyLimits.Default;
    private static readonly PrecopyLimits Pure = PrecopyLimits.Default with { IsPure = true };

    [Fact]
    public void What_nobody_writes_goes_over_in_one_round() =>
        Assert.Equal(PrecopyStep.SwitchOver, PrecopyPolicy.Next(Hybrid, Round(dirty: 0), All).Step);

    [Fact]
    public void Hybrid_goes_on_while_the_dirty_set_shrinks() =>
        Assert.Equal(PrecopyStep.Again, PrecopyPolicy.Next(Hybrid, Round(dirty: All / 2), All).Step);

    [Fact]
    public void Hybrid_switches_when_another_round_would_not_shrink_it_enough()
    {
        PrecopyDecision decision = PrecopyPolicy.Next(Hybrid, Round(number: 3, sent: 60_000, dirty: 50_000), 60_000);
        Assert.Equal(PrecopyStep.SwitchOver, decision.Step);
        Assert.Contains("50000 pages are dirty after it, 60000 were before", decision.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Hybrid_switches_when_pages_are_written_faster_than_sent()
    {
        PrecopyDecision decision = PrecopyPolicy.Next(Hybrid, Round(sent: 1000, dirty: 1000), All);
        Assert.Equal(PrecopyStep.SwitchOver, decision.Step);
        Assert.Contains("writes 1000 pages a second, and the link carries 1000", decision.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void What_comes_at_once_is_not_looked_at() => Assert.Equal(TimeSpan.Zero, PrecopyPolicy.LookFor(Round(sent: 100_000, dirty: 1000)));

    [Fact]
    public void The_guest_is_looked_at_for_a_small_part_of_the_time_that_the_rest_takes()
    {
        PrecopyRound round = Round(sent: 10_000, dirty: 16_000);
        Assert.Equal(round.TimeForDirty.TotalMilliseconds / 16, PrecopyPolicy.LookFor(round).TotalMilliseconds, 1.0);
        Assert.Equal(TimeSpan.FromMilliseconds(200), PrecopyPolicy.LookFor(Round(sent: 1, dirty: All)));
    }

    [Fact]
    public void Hybrid_does_not_care_for_the_downtime_limit() => Assert.Equal(
        PrecopyPolicy.Next(Hybrid, Round(dirty: All / 2), All),
        PrecopyPolicy.Next(Hybrid with { Downtime = TimeSpan.FromHours(1) }, Round(dirty: All / 2), All));

    [Fact]
    public void Pure_precopy_switches_when_what_is_left_fits_the_downtime_limit()
    {
        // 262,144 pages in a second: 78,643 of them in 300 ms.
        Assert.Equal(PrecopyStep.SwitchOver, PrecopyPolicy.Next(Pure, Round(dirty: 78_000), All).Step);
        Assert.Equal(PrecopyStep.Again, PrecopyPolicy.Next(Pure, Round(dirty: 79_000), All).Step);
    }

    [Theory]
    [InlineData(false, PrecopyStep.GiveUp)]
    [InlineData(true, PrecopyStep.SwitchOver)]
    public void Pure_precopy_does_as_it_is_told_when_rounds_or_time_are_used_up(bool moveAnyway, PrecopyStep expected)
    {
        PrecopyLimits limits = Pure with { MoveAnyway = moveAnyway, MaxRounds = 4, Timeout = TimeSpan.FromSeconds(9) };
        PrecopyDecision rounds = PrecopyPolicy.Next(limits, Round(number: 4, dirty: All), All);
        Assert.Equal(expected, rounds.Step);
        Assert.Contains("all 4 rounds are used up", rounds.Why, StringComparison.Ordinal);
        PrecopyDecision time = PrecopyPolicy.Next(limits, Round(number: 2, dirty: All, elapsedSeconds: 9), All);
        Assert.Equal(expected, time.Step);
        Assert.Contains("9 s are used up", time.Why, StringComparison.Ordinal);
        Assert.Equal(PrecopyStep.Again, PrecopyPolicy.Next(limits, Round(number: 3, dirty: All, elapsedSeconds: 8), All).Step);
    }

    [Fact]
    public void It_ends_whatever_the_guest_does() => Prop.ForAll(
        ArbMap.Default.ArbFor<bool>(), ArbMap.Default.ArbFor<bool>(), Gen.Choose(1, 40).ToArbitrary(),
        (pure, moveAnyway, maxRounds) =>
        {
            PrecopyLimits limits = Hybrid with { IsPure = pure, MoveAnyway = moveAnyway, MaxRounds = maxRounds };
            return PrecopyPolicy.Next(limits, Round(number: maxRounds, dirty: All), long.MaxValue).Step != PrecopyStep.Again;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Only_pure_precopy_that_may_not_move_the_guest_anyway_gives_up() => Prop.ForAll(
        Gen.Choose(1, 40).ToArbitrary(), Gen.Choose(0, (int)All).ToArbitrary(), Gen.Choose(0, 2000).ToArbitrary(),
        (number, dirty, elapsed) =>
        {
            PrecopyRound round = Round(number, dirty: dirty, elapsedSeconds: elapsed);
            return PrecopyPolicy.Next(Hybrid, round, All).Step != PrecopyStep.GiveUp
                && PrecopyPolicy.Next(Pure with { MoveAnyway = true }, round, All).Step != PrecopyStep.GiveUp;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Whatever_ends_it_says_why() => Prop.ForAll(
        ArbMap.Default.ArbFor<bool>(), Gen.Choose(1, 40).ToArbitrary(), Gen.Choose(0, (int)All).ToArbitrary(),
        (pure, number, dirty) =>
        {
            PrecopyDecision decision = PrecopyPolicy.Next(Hybrid with { IsPure = pure }, Round(number, dirty: dirty), All);
            return decision.Step == PrecopyStep.Again || decision.Why.Length > 0;
        }).QuickCheckThrowOnFailure();

    /// <summary>A round of a second.</summary>
    private static PrecopyRound Round(int number = 1, long sent = All, long dirty = 0, double elapsedSeconds = 1) =>
        new(number, sent, dirty, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(elapsedSeconds));
}
