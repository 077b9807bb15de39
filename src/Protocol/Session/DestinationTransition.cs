using System.Collections.Immutable;

namespace MigrationD.Protocol.Session;

/// <summary>A step of the destination: the state it leads to, and what is to be done, in order.</summary>
/// <param name="State">The new state; recorded before the actions begin.</param>
/// <param name="Actions">What the engine does now.</param>
public sealed record DestinationTransition(DestinationState State, ImmutableArray<DestinationAction> Actions);
