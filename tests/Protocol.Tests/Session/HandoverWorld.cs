using MigrationD.Protocol.Session;

namespace MigrationD.Protocol.Tests.Session;

/// <summary>What is on its way between the two sides.</summary>
[Flags]
public enum InFlight
{
    None = 0,
    LoadState = 1,
    Ready = 2,
    LoadRefused = 4,
    Run = 8,
    RunAnswer = 16,
    OutcomeQuestion = 32,
    OutcomeRunning = 64,
    OutcomeNeverStarted = 128,
    Abort = 256,
}

/// <summary>
/// Both machines, the guest on either side, and the network between them. The steps a world can take are everything that real hosts do:
/// messages arrive in any order, once, often or never; either side gives up waiting; the link breaks; a daemon dies.
/// </summary>
public sealed record HandoverWorld
{
    public SourceState Source { get; init; } = SourceState.Setup;

    public DestinationState Destination { get; init; } = DestinationState.Prepared;

    public bool RunsOnSource { get; init; } = true;

    public bool RunsOnDestination { get; init; }

    public bool SourceHasPages { get; init; } = true;

    public bool DestinationHasAllPages { get; init; }

    public bool SourceAlive { get; init; } = true;

    public bool DestinationAlive { get; init; } = true;

    public InFlight Network { get; init; }

    /// <summary>Every world that can be next.</summary>
    public IEnumerable<HandoverWorld> Next()
    {
        foreach (InFlight message in Enum.GetValues<InFlight>().Where(one => one != InFlight.None && Network.HasFlag(one)))
        {
            HandoverWorld without = this with { Network = Network & ~message };
            yield return without;
            yield return without.Deliver(message);
            // Delivered and still on its way: it will come again.
            yield return Deliver(message);
        }

        foreach (HandoverWorld world in NextOnSource().Concat(NextOnDestination()))
        {
            yield return world;
        }
    }

    /// <summary>What both sides do when nothing is lost any more and nobody gives up: the next world, or null when they have settled.</summary>
    public HandoverWorld? Settle()
    {
        if (Network != InFlight.None)
        {
            InFlight first = Enum.GetValues<InFlight>().First(one => one != InFlight.None && Network.HasFlag(one));
            return (this with { Network = Network & ~first }).Deliver(first);
        }

        return (Source, Destination) switch
        {
            (SourceState.Setup, _) => OnSource(SourceEvent.Prepared),
            // The answer did not come: whoever waits for one gives up in the end, or asks again.
            (SourceState.Device, _) => OnSource(SourceEvent.Failed),
            (SourceState.HandingOver, _) => OnSource(SourceEvent.RunUnanswered),
            _ => null,
        };
    }

    private IEnumerable<HandoverWorld> NextOnSource()
    {
        if (!SourceAlive)
        {
            yield break;
        }

        foreach (SourceEvent local in (SourceEvent[])
            [SourceEvent.Prepared, SourceEvent.Failed, SourceEvent.CancelRequested, SourceEvent.RunUnanswered, SourceEvent.LinkLost])
        {
            if (SourceMachine.Next(Source, local) is not null)
            {
                yield return OnSource(local);
            }
        }

        if (Source == SourceState.PostcopyActive && DestinationAlive && Destination == DestinationState.Completed)
        {
            yield return OnSource(SourceEvent.AllPagesPlaced);
        }

        yield return this with { SourceAlive = false, RunsOnSource = false, SourceHasPages = false };
    }

    private IEnumerable<HandoverWorld> NextOnDestination()
    {
        if (!DestinationAlive)
        {
            yield break;
        }

        yield return OnDestination(DestinationEvent.LinkLost);
        yield return OnDestination(DestinationEvent.AbortReceived);
        if (Destination == DestinationState.Loading)
        {
            yield return OnDestination(DestinationEvent.Loaded);
            yield return OnDestination(DestinationEvent.Failed);
        }

        // Pages come while the source has them and streams them.
        if (Destination == DestinationState.PostcopyActive && SourceAlive && SourceHasPages && Source == SourceState.PostcopyActive)
        {
            yield return (this with { DestinationHasAllPages = true }).OnDestination(DestinationEvent.AllPagesReceived);
        }

        yield return this with { DestinationAlive = false, RunsOnDestination = false };
    }

    private HandoverWorld Deliver(InFlight message) => message switch
    {
        InFlight.LoadState when DestinationAlive => OnDestination(DestinationEvent.LoadStateReceived),
        InFlight.Run when DestinationAlive => OnDestination(DestinationEvent.RunReceived),
        InFlight.OutcomeQuestion when DestinationAlive => OnDestination(DestinationEvent.OutcomeAsked),
        InFlight.Abort when DestinationAlive => OnDestination(DestinationEvent.AbortReceived),
        InFlight.Ready when SourceAlive => OnSource(SourceEvent.Ready),
        InFlight.LoadRefused when SourceAlive => Source == SourceState.Device ? OnSource(SourceEvent.Failed) : this,
        InFlight.RunAnswer or InFlight.OutcomeRunning when SourceAlive => OnSource(SourceEvent.RunConfirmed),
        InFlight.OutcomeNeverStarted when SourceAlive => OnSource(SourceEvent.NeverStarted),
        _ => this,
    };

    private HandoverWorld OnSource(SourceEvent happened)
    {
        if (SourceMachine.Next(Source, happened) is not { } step)
        {
            return this;
        }

        return step.Actions.Aggregate(this with { Source = step.State }, (world, action) => action switch
        {
            SourceAction.PauseGuest => world with { RunsOnSource = false },
            SourceAction.SendState => world.Send(InFlight.LoadState),
            SourceAction.SendRun => world.Send(InFlight.Run),
            SourceAction.AskOutcome => world.Send(InFlight.OutcomeQuestion),
            SourceAction.ReturnGuest => world with { RunsOnSource = true },
            SourceAction.AbortDestination => world.Send(InFlight.Abort),
            SourceAction.FreeGuest => world with { SourceHasPages = false },
            _ => world,
        });
    }

    private HandoverWorld OnDestination(DestinationEvent happened)
    {
        DestinationTransition step = DestinationMachine.Next(Destination, happened);
        HandoverWorld next = step.Actions.Aggregate(this with { Destination = step.State }, (world, action) => action switch
        {
            DestinationAction.AnswerReady => world.Send(InFlight.Ready),
            DestinationAction.RunGuest => world with { RunsOnDestination = true },
            DestinationAction.AnswerRunning =>
                world.Send(happened == DestinationEvent.RunReceived ? InFlight.RunAnswer : InFlight.OutcomeRunning),
            DestinationAction.AnswerNeverStarted => world.Send(InFlight.OutcomeNeverStarted),
            DestinationAction.Refuse when happened == DestinationEvent.LoadStateReceived => world.Send(InFlight.LoadRefused),
            _ => world,
        });
        return happened == DestinationEvent.Failed && step.State == DestinationState.NeverStarted ? next.Send(InFlight.LoadRefused) : next;
    }

    private HandoverWorld Send(InFlight message) => this with { Network = Network | message };
}
