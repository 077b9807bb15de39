using MigrationD.Protocol.Session;
using Xunit.Abstractions;

namespace MigrationD.Protocol.Tests.Session;

/// <summary>Explores every interleaving of both machines with a network that loses, repeats and delays, and daemons that die.</summary>
public sealed class HandoverTests(ITestOutputHelper output)
{
    private static readonly Lazy<HashSet<HandoverWorld>> Reachable = new(Explore);

    [Fact]
    public void NoWorldRunsTheGuestTwice()
    {
        Assert.DoesNotContain(Reachable.Value, world => world.RunsOnSource && world.RunsOnDestination);
        output.WriteLine($"worlds visited: {Reachable.Value.Count}");
    }

    [Fact]
    public void TheExplorationReachesEveryStateOfBothSides()
    {
        Assert.Equal(
            Enum.GetValues<SourceState>().Except([SourceState.Idle]).Order(), Reachable.Value.Select(world => world.Source).Distinct().Order());
        Assert.Equal(
            Enum.GetValues<DestinationState>().Order(), Reachable.Value.Select(world => world.Destination).Distinct().Order());
    }

    [Fact]
    public void TheSourceKeepsThePagesUntilTheDestinationHoldsAll() =>
        Assert.DoesNotContain(Reachable.Value, world => world.SourceAlive && !world.SourceHasPages && !world.DestinationHasAllPages);

    [Fact]
    public void BothMachinesNeverOwnTheGuestWhileItRunsOnTheOther()
    {
        Assert.DoesNotContain(Reachable.Value, world => world.RunsOnSource && !SourceMachine.OwnsGuest(world.Source));
        Assert.DoesNotContain(Reachable.Value, world => world.RunsOnDestination && !DestinationMachine.OwnsGuest(world.Destination));
    }

    [Fact]
    public void WhenBothAreUpAndTalkExactlyOneEndsUpWithTheGuest()
    {
        foreach (HandoverWorld start in Reachable.Value.Where(world => world.SourceAlive && world.DestinationAlive))
        {
            HandoverWorld world = start;
            int steps = 0;
            while (world.Settle() is { } next)
            {
                world = next;
                Assert.True(++steps < 100, $"does not settle: {start}");
            }

            Assert.True(world.RunsOnSource ^ world.RunsOnDestination, $"{start} settles as {world}");
            Assert.True(
                SourceMachine.OwnsGuest(world.Source) ^ DestinationMachine.OwnsGuest(world.Destination), $"{start} settles as {world}");
        }
    }

    [Fact]
    public void AFinalStateOfTheSourceIsLeftByNothing() => Assert.All(
        from state in Enum.GetValues<SourceState>()
        where SourceMachine.IsFinal(state)
        from happened in Enum.GetValues<SourceEvent>()
        select SourceMachine.Next(state, happened),
        Assert.Null);

    [Fact]
    public void AnOutcomeOnceAnsweredIsNeverAnsweredOtherwise() => Assert.All(
        from state in (DestinationState[])[DestinationState.NeverStarted, DestinationState.Completed]
        from happened in Enum.GetValues<DestinationEvent>()
        select (state, DestinationMachine.Next(state, happened)),
        pair => Assert.Equal(pair.state, pair.Item2.State));

    private static HashSet<HandoverWorld> Explore()
    {
        var seen = new HashSet<HandoverWorld> { new() };
        var open = new Queue<HandoverWorld>(seen);
        while (open.TryDequeue(out HandoverWorld? world))
        {
            foreach (HandoverWorld next in world.Next())
            {
                if (seen.Add(next))
                {
                    open.Enqueue(next);
                }
            }
        }

        return seen;
    }
}
