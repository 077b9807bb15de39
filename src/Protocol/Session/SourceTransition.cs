using System.Collections.Immutable;

namespace MigrationD.Protocol.Session;

/// <summary>A step of the source: the state it leads to, and what is to be done, in order.</summary>
/// <param name="State">The new state; recorded before the actions begin.</param>
/// <param name="Actions">What the engine does now.</param>
public sealed record SourceTransition(SourceState State, ImmutableArray<SourceAction> Actions);
