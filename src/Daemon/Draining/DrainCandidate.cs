using MigrationD.Guest;

namespace MigrationD.Daemon.Draining;

/// <summary>A guest that is to be moved off this node.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Kind">What a peer has to be able to run.</param>
/// <param name="MemoryBytes">Its RAM.</param>
/// <param name="Refusals">By address, the peers that a migration of it has failed to, with the reason.</param>
internal sealed record DrainCandidate(string Name, GuestKind Kind, long MemoryBytes, IReadOnlyDictionary<string, string> Refusals);
