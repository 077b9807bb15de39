using MigrationD.Protocol.StateMachines;

namespace MigrationD.Protocol.Tests.StateMachines;

/// <summary>The three machines, or what they would be with a mistake in them.</summary>
public sealed record HandoverRules(
    Func<SourceState, SourceEvent, SourceTransition?> Source, Func<DestinationState, DestinationEvent, DestinationTransition> Destination,
    Func<Hold, HoldEvent, Hold?> Lease)
{
    /// <summary>The machines that the daemon runs.</summary>
    public static HandoverRules Real { get; } = new(SourceMachine.Next, DestinationMachine.Next, LeaseMachine.Next);
}
