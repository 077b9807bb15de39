using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>What has to hold in every world that can be reached, and the search for one in which it does not.</summary>
public sealed class HandoverProof
{
    private const int LongestSettling = 200;

    private HandoverProof(HandoverRules rules) => Rules = rules;

    public HandoverRules Rules { get; }

    /// <summary>Every world that can be reached, or all until the first violation.</summary>
    public HashSet<HandoverWorld> Reached { get; } = [];

    /// <summary>The first violation found, or null: then the proof holds.</summary>
    public string? Violation { get; private set; }

    /// <summary>Goes through every interleaving under these rules.</summary>
    public static HandoverProof Explore(HandoverRules rules)
    {
        var proof = new HandoverProof(rules);
        proof.Search();
        return proof;
    }

    private void Search()
    {
        var open = new Queue<HandoverWorld>();
        open.Enqueue(new HandoverWorld());
        Reached.Add(new HandoverWorld());
        while (open.TryDequeue(out HandoverWorld world))
        {
            Violation = Check(world);
            if (Violation is not null)
            {
                return;
            }

            foreach (HandoverWorld next in world.Next(Rules))
            {
                if (Reached.Add(next))
                {
                    open.Enqueue(next);
                }
            }
        }
    }

    private string? Check(in HandoverWorld world)
    {
        if (world is { RunsOnSource: true, RunsOnDestination: true })
        {
            return $"runs twice: {world}";
        }

        if (world is { SourceAlive: true, SourceHasPages: false, DestinationHasAllPages: false, DeletedByOperator: false })
        {
            return $"pages are gone before the destination has them: {world}";
        }

        if (world.RunsOnSource && !SourceMachine.OwnsGuest(world.Source)
            || world.RunsOnDestination && !DestinationMachine.OwnsGuest(world.Destination)
            || world is { RunsOnDestination: true, Destination: DestinationState.Lost or DestinationState.Deleted })
        {
            return $"runs where it is not owned: {world}";
        }

        return CheckHolds(world) ?? (world is { SourceAlive: true, DestinationAlive: true } ? CheckSettled(world) : null);
    }

    /// <summary>The hold on either side says the same as the machine there, and allows for what the engine does.</summary>
    private static string? CheckHolds(in HandoverWorld world)
    {
        if (world.Offence != Offence.None)
        {
            return world.Offence switch
            {
                Offence.MovedOn => $"is moved on: {world}",
                Offence.Read => $"is read: {world}",
                _ => $"cannot happen: {world}",
            };
        }

        bool ownsOnDestination = DestinationMachine.OwnsGuest(world.Destination)
            && world.Destination is not (DestinationState.Lost or DestinationState.Deleted);
        bool agree = world.DeletedByOperator
            || ((!world.SourceAlive || SourceMachine.OwnsGuest(world.Source) == LeaseMachine.MayRun(world.HoldOnSource))
                && (!world.DestinationAlive || world.DestinationForgot
                    || ownsOnDestination == LeaseMachine.MayRun(world.HoldOnDestination)));
        return agree ? null : $"hold and machine disagree: {world}";
    }

    /// <summary>Both are up and can talk: exactly one ends up with the guest, and nothing that could be survived has ended it.</summary>
    private string? CheckSettled(HandoverWorld start)
    {
        HandoverWorld world = start;
        for (int steps = 0; world.Settle(Rules) is { } next; steps++)
        {
            world = next;
            if (steps > LongestSettling)
            {
                return $"does not settle: {start}";
            }
        }

        if (world is { RunsOnSource: true, RunsOnDestination: true })
        {
            return $"runs twice: {start} settles as {world}";
        }

        if (world.DeletedByOperator)
        {
            // As its owner wanted it: what is left is that it does not run again where it was deleted. An operator of the source may still let
            // it go on there, once the destination knows nothing of it any more.
            return world is { RunsOnSource: true, HoldOnSource: Hold.Deleted } or { RunsOnDestination: true }
                ? $"runs after it was deleted: {start} settles as {world}"
                : null;
        }

        bool destinationIsOver = world.DestinationForgot || world.Destination == DestinationState.Deleted;
        if (destinationIsOver && !world.RunsOnSource)
        {
            // Its daemon ended in post-copy, or an operator deleted it: the source keeps every page until it is told what to do, unless the
            // destination had them all.
            return world is { RunsOnDestination: false } and ({ Source: SourceState.PostcopyPaused, SourceHasPages: true }
                or { Source: SourceState.PostcopyActive, SourceHasPages: true } or { Source: SourceState.Completed })
                ? null
                : $"{start} settles as {world}";
        }

        if (!(world.RunsOnSource ^ world.RunsOnDestination))
        {
            return $"{start} settles as {world}";
        }

        return world.RunsOnDestination && world.Source != SourceState.Completed ? $"{start} does not complete: {world}" : null;
    }
}
