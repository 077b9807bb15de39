using MigrationD.Guest;

namespace MigrationD.Daemon.Draining;

/// <summary>
/// Which guest goes next, and where to: the largest that any peer takes, to the peer with the most free memory among those. The largest
/// first, as room for it is what is hardest to find; the emptiest peer, so that peers fill up evenly. Knows no clock and no network.
/// </summary>
internal static class DrainPlan
{
    /// <summary>
    /// Plans the moves to begin now, in this order, as many as there are places. What is on its way to a peer is off its offer already.
    /// </summary>
    public static IReadOnlyList<DrainMove> Next(IEnumerable<DrainCandidate> waiting, IEnumerable<PeerOffer> peers, int places)
    {
        List<DrainCandidate> left =
            [.. waiting.OrderByDescending(guest => guest.MemoryBytes).ThenBy(guest => guest.Name, StringComparer.Ordinal)];
        List<PeerOffer> offers = [.. peers];
        var moves = new List<DrainMove>();
        while (moves.Count < places && First(left, offers) is { } move)
        {
            moves.Add(move);
            left.Remove(move.Guest);
            offers[offers.IndexOf(move.Peer)] = move.Peer.Less(move.Guest.MemoryBytes, 1);
        }

        return moves;
    }

    /// <summary>Says why the guest cannot go to any of these peers now, peer by peer.</summary>
    public static string WhyNot(DrainCandidate guest, IReadOnlyCollection<PeerOffer> peers) => peers.Count == 0
        ? "there is no peer but this node itself"
        : string.Join("; ", peers.Select(peer => $"{peer.Address}: {Objection(guest, peer) ?? "it has room"}"));

    /// <summary>Whether a peer would take the guest if fewer others were on their way there.</summary>
    public static bool MayFitSoon(DrainCandidate guest, IEnumerable<PeerOffer> peers) =>
        peers.Any(peer => peer.FreePlaces < 1 && Objection(guest, peer with { FreePlaces = 1 }) is null);

    private static DrainMove? First(List<DrainCandidate> guests, List<PeerOffer> offers)
    {
        foreach (DrainCandidate guest in guests)
        {
            if (offers.Where(peer => Objection(guest, peer) is null).MaxBy(peer => peer.FreeBytes) is { } emptiest)
            {
                return new DrainMove(guest, emptiest);
            }
        }

        return null;
    }

    /// <summary>Says why this peer cannot have this guest now; null when it can.</summary>
    private static string? Objection(DrainCandidate guest, PeerOffer peer) =>
        guest.Refusals.TryGetValue(peer.Address, out string? refusal) ? refusal
        : peer.Problem is { } problem ? problem
        : !peer.Kinds.Contains(guest.Kind) ? $"it runs no guests of kind {Words.Of((Protocol.V1.GuestKind)guest.Kind)}"
        : guest.MemoryBytes > peer.FreeBytes
            ? $"it has {new ByteSize(Math.Max(0, peer.FreeBytes)).ToRoundedString()} free for guests, and this one has "
                + new ByteSize(guest.MemoryBytes).ToRoundedString()
        : peer.FreePlaces < 1 ? "as many guests are on their way there as may be"
        : null;
}

/// <summary>A guest that is to be moved off this node; refusals are why migrations of it have failed, by the address of the peer.</summary>
internal sealed record DrainCandidate(string Name, GuestKind Kind, long MemoryBytes, IReadOnlyDictionary<string, string> Refusals);

/// <summary>A guest and the peer that it goes to.</summary>
internal sealed record DrainMove(DrainCandidate Guest, PeerOffer Peer);
