using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Draining;

/// <summary>What a peer said of itself, or why it said nothing.</summary>
/// <param name="Address">HOST:PORT that was dialled.</param>
/// <param name="Capacity">Its answer; null without one.</param>
/// <param name="Problem">Why it can have no guests; null when it can.</param>
/// <param name="IsSelf">Whether it is the node that asks.</param>
internal sealed record PeerAnswer(string Address, Capacity? Capacity, string? Problem, bool IsSelf = false);
