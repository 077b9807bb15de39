using MigrationD.Guest;

namespace MigrationD.Daemon.Draining;

/// <summary>What a peer has room for.</summary>
/// <param name="Address">HOST:PORT of its control address.</param>
/// <param name="Problem">Why it can have no guest at all; null when it can.</param>
/// <param name="FreeBytes">Memory that it has free for guests; what is on its way there already is taken off.</param>
/// <param name="FreePlaces">How many more guests may be on their way there now.</param>
/// <param name="Kinds">What it can run.</param>
internal sealed record PeerOffer(string Address, string? Problem, long FreeBytes, int FreePlaces, IReadOnlyList<GuestKind> Kinds)
{
    /// <summary>A peer that can have no guest.</summary>
    public static PeerOffer Unusable(string address, string problem) => new(address, problem, 0, 0, []);

    /// <summary>What is left of it when guests are on their way there that it may not know of yet.</summary>
    public PeerOffer Less(long bytes, int places) => this with { FreeBytes = FreeBytes - bytes, FreePlaces = FreePlaces - places };
}
