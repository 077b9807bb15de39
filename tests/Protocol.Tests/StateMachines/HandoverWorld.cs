using System.Collections.Immutable;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>
/// Both machines, the guest on either side with who has it in hand there, the operators, and the network between them. The steps a world can
/// take are everything that real hosts do: messages arrive in any order, once, often or never; either side gives up waiting; the link breaks
/// for one side or both; a daemon dies, and comes back without its memory; operators of both nodes order whatever they like at any time.
/// </summary>
public readonly record struct HandoverWorld()
{
    private static readonly ImmutableArray<InFlight> Messages = [.. Enum.GetValues<InFlight>().Where(one => one != InFlight.None)];

    private static readonly ImmutableArray<SourceEvent> LocalToSource =
    [
        SourceEvent.Prepared, SourceEvent.PrecopyPrepared, SourceEvent.PrecopyEnded, SourceEvent.Failed, SourceEvent.RunUnanswered,
        SourceEvent.LinkLost, SourceEvent.RecoveryGivenUp,
    ];

    private static readonly ImmutableArray<SourceEvent> Orders = [SourceEvent.CancelRequested, SourceEvent.RecoverOrdered];

    public SourceState Source { get; init; } = SourceState.Setup;

    public DestinationState Destination { get; init; } = DestinationState.Prepared;

    public bool RunsOnSource { get; init; } = true;

    public bool RunsOnDestination { get; init; } = false;

    /// <summary>Who has the guest in hand on the source.</summary>
    public Hold HoldOnSource { get; init; } = Hold.Outgoing;

    /// <summary>Who has the guest in hand on the destination.</summary>
    public Hold HoldOnDestination { get; init; } = Hold.Incoming;

    /// <summary>Operators deleted the guest when it was one node's alone.</summary>
    public bool DeletedByOperator { get; init; } = false;

    /// <summary>What somebody did with the guest that must not be.</summary>
    public Offence Offence { get; init; } = Offence.None;

    public bool SourceHasPages { get; init; } = true;

    public bool DestinationHasAllPages { get; init; } = false;

    public bool SourceAlive { get; init; } = true;

    public bool DestinationAlive { get; init; } = true;

    /// <summary>The destination's process is another one: it knows no session.</summary>
    public bool DestinationForgot { get; init; } = false;

    public InFlight Network { get; init; } = InFlight.None;

    private bool DestinationKnows => DestinationAlive && !DestinationForgot;

    /// <summary>Every world that can be next.</summary>
    public IEnumerable<HandoverWorld> Next(HandoverRules rules)
    {
        foreach (InFlight message in Messages)
        {
            if ((Network & message) == InFlight.None)
            {
                continue;
            }

            HandoverWorld without = this with { Network = Network & ~message };
            yield return without;
            yield return without.Deliver(message, rules);
            // Delivered and still on its way: it will come again.
            yield return Deliver(message, rules);
            if (message == InFlight.RecoverAnswer && DestinationKnows
                && without.Destination is DestinationState.PostcopyRecover or DestinationState.Lost)
            {
                // The lanes were opened, and the source never learnt of it.
                yield return without.OnDestination(DestinationEvent.LinkRestored, rules);
            }
        }

        foreach (HandoverWorld world in NextOnSource(rules).Concat(NextOnDestination(rules)).Concat(NextOfOperator(rules)))
        {
            yield return world;
        }
    }

    /// <summary>What both sides do when nothing is lost any more and nobody gives up: the next world, or null when they have settled.</summary>
    public HandoverWorld? Settle(HandoverRules rules)
    {
        foreach (InFlight message in Messages)
        {
            if ((Network & message) != InFlight.None)
            {
                return (this with { Network = Network & ~message }).Deliver(message, rules);
            }
        }

        return (Source, Destination) switch
        {
            (SourceState.Setup, _) => OnSource(SourceEvent.Prepared, rules),
            (SourceState.PrecopyActive, _) => OnSource(SourceEvent.PrecopyEnded, rules),
            // The answer did not come: whoever waits for one gives up in the end, or asks again.
            (SourceState.Device, _) => OnSource(SourceEvent.Failed, rules),
            (SourceState.HandingOver, _) => OnSource(SourceEvent.RunUnanswered, rules),
            (SourceState.PostcopyPaused, _) when DestinationKnows && Destination != DestinationState.Deleted => Send(InFlight.Recover),
            (SourceState.PostcopyActive, DestinationState.PostcopyActive) => AllPagesCome(rules),
            (SourceState.PostcopyActive, DestinationState.Completed) => OnSource(SourceEvent.AllPagesPlaced, rules),
            // One side has lost the link and ends its lanes: the other notices.
            (SourceState.PostcopyActive, _) => OnSource(SourceEvent.LinkLost, rules),
            _ => null,
        };
    }

    private IEnumerable<HandoverWorld> NextOnSource(HandoverRules rules)
    {
        if (!SourceAlive)
        {
            yield break;
        }

        foreach (SourceEvent local in LocalToSource)
        {
            if (rules.Source(Source, local) is not null)
            {
                yield return OnSource(local, rules);
            }
        }

        if (Source == SourceState.PostcopyPaused)
        {
            // Asked again and again.
            yield return Send(InFlight.Recover);
        }

        if (Source == SourceState.PostcopyActive && DestinationKnows && Destination == DestinationState.Completed)
        {
            yield return OnSource(SourceEvent.AllPagesPlaced, rules);
        }

        yield return this with { SourceAlive = false, RunsOnSource = false, SourceHasPages = false };
    }

    private IEnumerable<HandoverWorld> NextOnDestination(HandoverRules rules)
    {
        if (!DestinationAlive)
        {
            yield return this with { DestinationAlive = true, DestinationForgot = true, HoldOnDestination = Hold.Ended };
            yield break;
        }

        yield return this with { DestinationAlive = false, RunsOnDestination = false };
        if (DestinationForgot)
        {
            yield break;
        }

        yield return OnDestination(DestinationEvent.LinkLost, rules);
        yield return OnDestination(DestinationEvent.SourceGone, rules);
        if (Destination is DestinationState.Prepared or DestinationState.Loading or DestinationState.Ready)
        {
            // Patience ends.
            yield return OnDestination(DestinationEvent.AbortReceived, rules);
        }

        if (Destination == DestinationState.Loading)
        {
            yield return OnDestination(DestinationEvent.Loaded, rules);
            yield return OnDestination(DestinationEvent.Failed, rules);
        }

        // Pages come while both sides have the lanes open.
        if (Destination == DestinationState.PostcopyActive && SourceAlive && SourceHasPages && Source == SourceState.PostcopyActive)
        {
            yield return AllPagesCome(rules);
        }
    }

    private IEnumerable<HandoverWorld> NextOfOperator(HandoverRules rules)
    {
        if (SourceAlive)
        {
            foreach (SourceEvent order in Orders)
            {
                if (rules.Source(Source, order) is not null)
                {
                    yield return OnSource(order, rules);
                }
            }

            foreach (HandoverWorld world in OrdersOnSource(rules))
            {
                yield return world;
            }

            if (rules.Source(Source, SourceEvent.ResumeHereOrdered) is not null)
            {
                if (!DestinationAlive || DestinationForgot)
                {
                    // The destination's daemon has ended: it says so itself once it is back, or the operator vouches for it.
                    yield return OnSource(SourceEvent.ResumeHereOrdered, rules);
                }
                else
                {
                    // Before anything else the source asks, and to be asked closes the door for a Run that is still on its way.
                    HandoverWorld asked = OnDestination(DestinationEvent.OutcomeAsked, rules);
                    yield return DestinationMachine.OwnsGuest(asked.Destination) && asked.Destination != DestinationState.Deleted
                        ? asked
                        : asked.OnSource(SourceEvent.ResumeHereOrdered, rules);
                }
            }
        }

        if (DestinationKnows)
        {
            // Ordered when the guest was lost, and carried out by now.
            yield return OnDestination(DestinationEvent.Deleted, rules);
            foreach (HandoverWorld world in OrdersOnDestination(rules))
            {
                yield return world;
            }
        }
    }

    /// <summary>What the hold on the source lets operators of that node do. To pause a guest that is theirs ends nothing.</summary>
    private IEnumerable<HandoverWorld> OrdersOnSource(HandoverRules rules)
    {
        if (DeletedByOperator)
        {
            yield break;
        }

        bool isOver = SourceMachine.IsFinal(Source) && SourceMachine.OwnsGuest(Source);
        if (rules.Lease(HoldOnSource, HoldEvent.CommandOrdered) is { } commanded)
        {
            yield return this with { HoldOnSource = commanded, RunsOnSource = true };
        }

        if (rules.Lease(HoldOnSource, HoldEvent.DeleteOrdered) is { } deleted)
        {
            yield return this with
            {
                HoldOnSource = deleted,
                RunsOnSource = false,
                SourceHasPages = false,
                DeletedByOperator = isOver,
            };
        }

        if (rules.Lease(HoldOnSource, HoldEvent.Taken) is not null && !isOver)
        {
            yield return this with { Offence = Offence.MovedOn };
        }

        if ((rules.Lease(HoldOnSource, HoldEvent.ReadOrdered) ?? rules.Lease(HoldOnSource, HoldEvent.SalvageOrdered)) is not null && !isOver)
        {
            yield return this with { Offence = Offence.Read };
        }
    }

    /// <summary>What the hold on the destination lets operators of that node do.</summary>
    private IEnumerable<HandoverWorld> OrdersOnDestination(HandoverRules rules)
    {
        if (DeletedByOperator)
        {
            yield break;
        }

        bool isOver = Destination == DestinationState.Completed;
        if (rules.Lease(HoldOnDestination, HoldEvent.CommandOrdered) is { } commanded)
        {
            yield return this with { HoldOnDestination = commanded, RunsOnDestination = true };
        }

        if (rules.Lease(HoldOnDestination, HoldEvent.DeleteOrdered) is { } deleted)
        {
            // That of a lost guest is carried out by its session.
            yield return deleted == Hold.Deleting
                ? this with { HoldOnDestination = deleted }
                : this with { HoldOnDestination = deleted, RunsOnDestination = false, DeletedByOperator = isOver };
        }

        if (rules.Lease(HoldOnDestination, HoldEvent.Taken) is not null && !isOver)
        {
            yield return this with { Offence = Offence.MovedOn };
        }

        if (rules.Lease(HoldOnDestination, HoldEvent.ReadOrdered) is not null && !isOver
            || rules.Lease(HoldOnDestination, HoldEvent.SalvageOrdered) is not null && !isOver && Destination != DestinationState.Lost)
        {
            yield return this with { Offence = Offence.Read };
        }
    }

    private HandoverWorld AllPagesCome(HandoverRules rules) =>
        (this with { DestinationHasAllPages = true }).OnDestination(DestinationEvent.AllPagesReceived, rules);

    private HandoverWorld Deliver(InFlight message, HandoverRules rules) => message switch
    {
        InFlight.LoadState when DestinationKnows => OnDestination(DestinationEvent.LoadStateReceived, rules),
        InFlight.LoadState when DestinationAlive => Send(InFlight.LoadRefused),
        InFlight.Run when DestinationKnows => OnDestination(DestinationEvent.RunReceived, rules),
        InFlight.OutcomeQuestion when DestinationKnows => OnDestination(DestinationEvent.OutcomeAsked, rules),
        InFlight.Abort when DestinationKnows => OnDestination(DestinationEvent.AbortReceived, rules),
        InFlight.Recover when DestinationKnows => OnDestination(DestinationEvent.RecoverAsked, rules),
        InFlight.OutcomeQuestion or InFlight.Recover when DestinationAlive => Send(InFlight.Unknown),
        InFlight.Ready when SourceAlive => OnSource(SourceEvent.Ready, rules),
        InFlight.LoadRefused when SourceAlive => Source == SourceState.Device ? OnSource(SourceEvent.Failed, rules) : this,
        InFlight.RunAnswer or InFlight.OutcomeRunning when SourceAlive => OnSource(SourceEvent.RunConfirmed, rules),
        InFlight.OutcomeNeverStarted when SourceAlive => OnSource(SourceEvent.NeverStarted, rules),
        InFlight.Unknown when SourceAlive => OnSource(SourceEvent.DestinationGone, rules),
        InFlight.RecoverComplete when SourceAlive && Source == SourceState.PostcopyPaused => OnSource(SourceEvent.AllPagesPlaced, rules),
        InFlight.RecoverAnswer when SourceAlive && Source == SourceState.PostcopyPaused => OpenLanes(rules),
        // A secret that opens nothing any more, or an answer to nobody.
        _ => this,
    };

    /// <summary>
    /// The link was lost in precopy: the destination gives up what it had, if it has not done so by itself, and prepares in a new session. One
    /// that cannot be reached prepares nothing; the source finds that out later, as if its session had been forgotten.
    /// </summary>
    private HandoverWorld PrepareAnew(HandoverRules rules)
    {
        if (!DestinationAlive)
        {
            return this;
        }

        HandoverWorld gone = DestinationForgot ? this : OnDestination(DestinationEvent.AbortReceived, rules);
        return gone with { Destination = DestinationState.Prepared, DestinationForgot = false, HoldOnDestination = Hold.Incoming };
    }

    private HandoverWorld OpenLanes(HandoverRules rules)
    {
        bool accepts = DestinationKnows && Destination is DestinationState.PostcopyRecover or DestinationState.PostcopyPaused
            or DestinationState.Lost;
        return accepts ? OnSource(SourceEvent.LinkRestored, rules).OnDestination(DestinationEvent.LinkRestored, rules) : this;
    }

    private HandoverWorld OnSource(SourceEvent happened, HandoverRules rules)
    {
        if (rules.Source(Source, happened) is not { } step)
        {
            return this;
        }

        return step.Actions.Aggregate(this with { Source = step.State }, (world, action) => action switch
        {
            SourceAction.Prepare => world.PrepareAnew(rules),
            SourceAction.PauseGuest => world with { RunsOnSource = false },
            SourceAction.SendState => world.Send(InFlight.LoadState),
            SourceAction.SendRun => world.Send(InFlight.Run),
            SourceAction.AskOutcome => world.Send(InFlight.OutcomeQuestion),
            SourceAction.Recover => world.Send(InFlight.Recover),
            SourceAction.GiveAway => world.OnSourceHold(HoldEvent.GivenAway, rules),
            SourceAction.ReturnGuest => (world with { RunsOnSource = true }).OnSourceHold(HoldEvent.Returned, rules),
            SourceAction.AbortDestination => world.Send(InFlight.Abort),
            SourceAction.FreeGuest => (world with { SourceHasPages = false }).OnSourceHold(HoldEvent.Freed, rules),
            _ => world,
        });
    }

    private HandoverWorld OnDestination(DestinationEvent happened, HandoverRules rules)
    {
        DestinationTransition step = rules.Destination(Destination, happened);
        HandoverWorld next = step.Actions.Aggregate(this with { Destination = step.State }, (world, action) => action switch
        {
            DestinationAction.AnswerReady => world.Send(InFlight.Ready),
            DestinationAction.RunGuest => (world with { RunsOnDestination = true }).OnDestinationHold(HoldEvent.Arrived, rules),
            DestinationAction.Revive => (world with { RunsOnDestination = true }).OnDestinationHold(HoldEvent.Revived, rules),
            DestinationAction.DeclareLost => (world with { RunsOnDestination = false }).OnDestinationHold(HoldEvent.PagesLost, rules),
            DestinationAction.Discard => world.OnDestinationHold(HoldEvent.Discarded, rules),
            DestinationAction.Finish => world.OnDestinationHold(HoldEvent.Settled, rules),
            DestinationAction.AnswerRunning =>
                world.Send(happened == DestinationEvent.RunReceived ? InFlight.RunAnswer : InFlight.OutcomeRunning),
            DestinationAction.AnswerNeverStarted => world.Send(InFlight.OutcomeNeverStarted),
            DestinationAction.AnswerReceived => world.AnswerReceived(),
            DestinationAction.Refuse when happened == DestinationEvent.LoadStateReceived => world.Send(InFlight.LoadRefused),
            DestinationAction.Refuse when happened is DestinationEvent.RecoverAsked or DestinationEvent.OutcomeAsked =>
                world.Send(InFlight.Unknown),
            _ => world,
        });
        return happened == DestinationEvent.Failed && step.State == DestinationState.NeverStarted ? next.Send(InFlight.LoadRefused) : next;
    }

    private HandoverWorld OnSourceHold(HoldEvent happened, HandoverRules rules) => rules.Lease(HoldOnSource, happened) is { } next
        ? this with { HoldOnSource = next }
        : this with { Offence = Offence.Impossible };

    private HandoverWorld OnDestinationHold(HoldEvent happened, HandoverRules rules) => rules.Lease(HoldOnDestination, happened) is { } next
        ? this with { HoldOnDestination = next }
        : this with { Offence = Offence.Impossible };

    private HandoverWorld AnswerReceived()
    {
        if (Destination == DestinationState.Completed)
        {
            return Send(InFlight.RecoverComplete);
        }

        HandoverWorld world = (Network & InFlight.RecoverAnswer) != InFlight.None ? Send(InFlight.StaleRecoverAnswer) : this;
        return world.Send(InFlight.RecoverAnswer);
    }

    private HandoverWorld Send(InFlight message) => this with { Network = Network | message };
}
