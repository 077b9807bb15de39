using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

public sealed class ThrottlePolicyTests
{
    [Fact]
    public void A_guest_that_writes_as_much_as_before_is_held_back_more_in_each_round()
    {
        int percent = 0;
        foreach (int expected in new[] { 20, 30, 40, 50, 60, 70, 80, 90, 99, 99 })
        {
            percent = ThrottlePolicy.Next(percent, Round(dirty: 1000), before: 1000);
            Assert.Equal(expected, percent);
        }
    }

    [Fact]
    public void One_that_writes_less_than_before_is_left_as_it_is()
    {
        Assert.Equal(0, ThrottlePolicy.Next(0, Round(dirty: 700), before: 1000));
        Assert.Equal(40, ThrottlePolicy.Next(40, Round(dirty: 700), before: 1000));
    }

    [Fact]
    public void It_never_lets_go_and_never_stops_the_guest() =>
        Prop.ForAll(
            (from percents in Gen.Elements(0, 20, 30, 90, 99)
             from dirty in Gen.Choose(0, 10_000)
             from before in Gen.Choose(0, 10_000)
             select (percents, dirty, before)).ToArbitrary(),
            one => ThrottlePolicy.Next(one.percents, Round(one.dirty), one.before) is var next
                && next >= one.percents && next <= ThrottlePolicy.Most && next - one.percents <= ThrottlePolicy.Initial)
            .QuickCheckThrowOnFailure();

    private static PrecopyRound Round(long dirty) => new(2, 1000, dirty, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
}
