using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>
/// Explores every interleaving of both machines, and of the hold on the guest on either side, with a network that loses, repeats and delays,
/// daemons that die and come back empty, and operators who decide; and shows that mistakes in the machines would be found.
/// </summary>
public sealed class HandoverTests(ITestOutputHelper output)
{
    private static readonly Lazy<HandoverProof> Proof = new(() => HandoverProof.Explore(HandoverRules.Real));

    [Fact]
    public void No_interleaving_runs_the_guest_twice_or_loses_it()
    {
        Assert.Null(Proof.Value.Violation);
        output.WriteLine($"Figure: handover, {Proof.Value.Reached.Count} states explored, 0 violations");
    }

    [Fact]
    public void The_exploration_reaches_every_state_of_both_sides()
    {
        Assert.Equal(
            Enum.GetValues<SourceState>().Except([SourceState.Idle]).Order(),
            Proof.Value.Reached.Select(world => world.Source).Distinct().Order());
        Assert.Equal(
            Enum.GetValues<DestinationState>().Order(), Proof.Value.Reached.Select(world => world.Destination).Distinct().Order());
    }

    [Fact]
    public void The_exploration_reaches_every_hold() => Assert.Equal(
        Enum.GetValues<Hold>().Order(),
        Proof.Value.Reached.SelectMany(world => new[] { world.HoldOnSource, world.HoldOnDestination }).Distinct().Order());

    [Fact]
    public void A_final_state_of_the_source_is_left_by_nothing() => Assert.All(
        from state in Enum.GetValues<SourceState>()
        where SourceMachine.IsFinal(state)
        from happened in Enum.GetValues<SourceEvent>()
        select SourceMachine.Next(state, happened),
        Assert.Null);

    [Fact]
    public void A_final_state_of_the_destination_is_left_by_nothing() => Assert.All(
        from state in Enum.GetValues<DestinationState>()
        where DestinationMachine.IsFinal(state)
        from happened in Enum.GetValues<DestinationEvent>()
        select (state, DestinationMachine.Next(state, happened)),
        pair => Assert.Equal(pair.state, pair.Item2.State));

    /// <summary>Each a mistake that somebody could make; each is found by the search that finds none in the real machines.</summary>
    [Theory]
    [InlineData("resume on the source when Run was not answered", "runs twice")]
    [InlineData("take a lost destination for one that never started", "runs twice")]
    [InlineData("answer NeverStarted without closing the door", "runs twice")]
    [InlineData("cancel after Run was sent", "runs twice")]
    [InlineData("resume on the source when the link is lost", "runs twice")]
    [InlineData("run the guest when it is ready", "runs twice")]
    [InlineData("free the guest when the link is lost", "pages are gone")]
    [InlineData("free the guest when Run is confirmed", "pages are gone")]
    [InlineData("go on running a lost guest", "runs where it is not owned")]
    [InlineData("ask only once whether it runs", "does not settle")]
    [InlineData("never answer a source that is back", "does not settle")]
    [InlineData("refuse to hand the bitmap over", "does not settle")]
    [InlineData("let operators run a guest that is given away", "runs")]
    [InlineData("let operators run a guest that is on its way in", "runs")]
    [InlineData("let operators run a guest that is lost", "runs where it is not owned")]
    [InlineData("let operators delete a guest that is on its way out", "pages are gone")]
    [InlineData("let operators delete a guest that is given away", "pages are gone")]
    [InlineData("let operators delete a guest whose pages still come", "hold and machine disagree")]
    [InlineData("move a guest on whose pages still come", "is moved on")]
    [InlineData("move a guest twice", "is moved on")]
    [InlineData("read a guest whose pages still come", "is read")]
    [InlineData("read what a guest that is given away has left", "is read")]
    [InlineData("own a guest that is given away", "hold and machine disagree")]
    [InlineData("own a guest that is lost", "hold and machine disagree")]
    [InlineData("never own a guest whose pages have all come", "hold and machine disagree")]
    [InlineData("keep a guest that the destination never started", "cannot happen")]
    [InlineData("refuse a source that is back while its guest is deleted", "cannot happen")]
    [InlineData("discard only what was never lost", "cannot happen")]
    public void A_mistake_is_found(string mistake, string violation)
    {
        HandoverProof proof = HandoverProof.Explore(Mutants[mistake]);
        output.WriteLine($"{mistake}: after {proof.Reached.Count} states: {proof.Violation}");
        Assert.Contains(violation, proof.Violation ?? "nothing was found", StringComparison.Ordinal);
    }

    /// <summary>An engine that is refused one of its steps is found, whichever it is. Every migration here has taken its guest before.</summary>
    [Fact]
    public void Every_step_of_an_engine_is_needed()
    {
        (Hold Hold, HoldEvent Event)[] steps =
        [
            .. from hold in Enum.GetValues<Hold>()
               from happened in Enum.GetValues<HoldEvent>()
               where happened > HoldEvent.Taken && LeaseMachine.Next(hold, happened) is not null
               select (hold, happened),
        ];
        Assert.All(steps, step => Assert.Contains(
            "cannot happen", HandoverProof.Explore(Lease(step.Hold, step.Event, null)).Violation ?? "nothing was found",
            StringComparison.Ordinal));
        output.WriteLine($"Figure: handover, {steps.Length} mistakes of a step refused, all found");
    }

    /// <summary>
    /// To let operators do what the table refuses is found, whatever it is. Left out is what no migration ever sees: a guest that ended with
    /// a daemon before; and that something is deleted of which nothing is left.
    /// </summary>
    [Fact]
    public void Every_refusal_to_an_operator_is_needed()
    {
        (Hold Hold, HoldEvent Order)[] refusals =
        [
            .. from hold in Enum.GetValues<Hold>().Except([Hold.Ended])
               from order in (HoldEvent[])[HoldEvent.CommandOrdered, HoldEvent.ReadOrdered, HoldEvent.DeleteOrdered, HoldEvent.Taken]
               where LeaseMachine.Next(hold, order) is null
                   && (order != HoldEvent.DeleteOrdered || hold is not (Hold.Discarded or Hold.Deleted))
               select (hold, order),
        ];
        Assert.All(refusals, refusal => Assert.NotNull(HandoverProof.Explore(Lease(refusal.Hold, refusal.Order, To(refusal))).Violation));
        output.WriteLine($"Figure: handover, {refusals.Length} mistakes of an order allowed, all found");

        static Hold To((Hold Hold, HoldEvent Order) refusal) => refusal.Order switch
        {
            HoldEvent.DeleteOrdered => Hold.Deleted,
            HoldEvent.Taken => Hold.Outgoing,
            _ => refusal.Hold,
        };
    }

    private static readonly Dictionary<string, HandoverRules> Mutants = new()
    {
        ["resume on the source when Run was not answered"] = Source(
            SourceState.HandingOver, SourceEvent.RunUnanswered, SourceState.Failed, SourceAction.ReturnGuest),
        ["take a lost destination for one that never started"] = Source(
            SourceState.HandingOver, SourceEvent.LinkLost, SourceState.Failed, SourceAction.ReturnGuest),
        ["cancel after Run was sent"] = Source(
            SourceState.HandingOver, SourceEvent.CancelRequested, SourceState.Cancelled, SourceAction.ReturnGuest),
        ["resume on the source when the link is lost"] = Source(
            SourceState.PostcopyActive, SourceEvent.LinkLost, SourceState.Failed, SourceAction.ReturnGuest),
        ["free the guest when the link is lost"] = Source(
            SourceState.PostcopyActive, SourceEvent.LinkLost, SourceState.PostcopyPaused, SourceAction.FreeGuest),
        ["free the guest when Run is confirmed"] = Source(
            SourceState.HandingOver, SourceEvent.RunConfirmed, SourceState.Completed, SourceAction.FreeGuest),
        ["ask only once whether it runs"] = Source(
            SourceState.HandingOver, SourceEvent.RunUnanswered, SourceState.PostcopyPaused, SourceAction.AwaitOperator),
        ["answer NeverStarted without closing the door"] = Destination(
            DestinationState.Ready, DestinationEvent.OutcomeAsked, DestinationState.Ready, DestinationAction.AnswerNeverStarted),
        ["run the guest when it is ready"] = Destination(
            DestinationState.Loading, DestinationEvent.Loaded, DestinationState.PostcopyActive,
            DestinationAction.RunGuest, DestinationAction.AnswerReady),
        ["go on running a lost guest"] = Destination(
            DestinationState.PostcopyPaused, DestinationEvent.SourceGone, DestinationState.Lost),
        ["never answer a source that is back"] = Destination(
            DestinationState.PostcopyPaused, DestinationEvent.RecoverAsked, DestinationState.PostcopyPaused),
        ["refuse to hand the bitmap over"] = Destination(
            DestinationState.PostcopyPaused, DestinationEvent.RecoverAsked, DestinationState.PostcopyPaused, DestinationAction.Refuse),
        ["let operators run a guest that is given away"] = Lease(Hold.Away, HoldEvent.CommandOrdered, Hold.Away),
        ["let operators run a guest that is on its way in"] = Lease(Hold.Incoming, HoldEvent.CommandOrdered, Hold.Incoming),
        ["let operators run a guest that is lost"] = Lease(Hold.Lost, HoldEvent.CommandOrdered, Hold.Lost),
        ["let operators delete a guest that is on its way out"] = Lease(Hold.Outgoing, HoldEvent.DeleteOrdered, Hold.Deleted),
        ["let operators delete a guest that is given away"] = Lease(Hold.Away, HoldEvent.DeleteOrdered, Hold.Deleted),
        ["let operators delete a guest whose pages still come"] = Lease(Hold.Arriving, HoldEvent.DeleteOrdered, Hold.Deleted),
        ["move a guest on whose pages still come"] = Lease(Hold.Arriving, HoldEvent.Taken, Hold.Outgoing),
        ["move a guest twice"] = Lease(Hold.Outgoing, HoldEvent.Taken, Hold.Outgoing),
        ["read a guest whose pages still come"] = Lease(Hold.Arriving, HoldEvent.ReadOrdered, Hold.Arriving),
        ["read what a guest that is given away has left"] = Lease(Hold.Away, HoldEvent.SalvageOrdered, Hold.Away),
        ["own a guest that is given away"] = Lease(Hold.Outgoing, HoldEvent.GivenAway, Hold.Outgoing),
        ["own a guest that is lost"] = Lease(Hold.Arriving, HoldEvent.PagesLost, Hold.Arriving),
        ["never own a guest whose pages have all come"] = Lease(Hold.Arriving, HoldEvent.Settled, Hold.Incoming),
        ["keep a guest that the destination never started"] = Lease(Hold.Away, HoldEvent.Returned, null),
        ["refuse a source that is back while its guest is deleted"] = Lease(Hold.Deleting, HoldEvent.Revived, null),
        ["discard only what was never lost"] = Lease(Hold.Lost, HoldEvent.Discarded, null),
    };

    private static HandoverRules Lease(Hold hold, HoldEvent happened, Hold? to) =>
        HandoverRules.Real with
        {
            Lease = (from, what) => from == hold && what == happened ? to : LeaseMachine.Next(from, what),
        };

    private static HandoverRules Source(SourceState state, SourceEvent happened, SourceState to, params SourceAction[] actions) =>
        HandoverRules.Real with
        {
            Source = (from, what) => from == state && what == happened
                ? new SourceTransition(to, [.. actions])
                : SourceMachine.Next(from, what),
        };

    private static HandoverRules Destination(
        DestinationState state, DestinationEvent happened, DestinationState to, params DestinationAction[] actions) =>
        HandoverRules.Real with
        {
            Destination = (from, what) => from == state && what == happened
                ? new DestinationTransition(to, [.. actions])
                : DestinationMachine.Next(from, what),
        };
}
