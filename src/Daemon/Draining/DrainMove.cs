namespace MigrationD.Daemon.Draining;

/// <summary>A guest and the peer that it goes to.</summary>
internal sealed record DrainMove(DrainCandidate Guest, PeerOffer Peer);
