namespace MigrationD.Daemon.Hosting;

/// <summary>What other daemons, or whoever pretends to be one, can make this one hold.</summary>
/// <param name="Connections">Connections that each of the two listeners serves at a time.</param>
/// <param name="Incoming">Guests on their way in at a time; each has a machine, staging and two threads before it has memory.</param>
internal sealed record PeerLimits(int Connections, int Incoming);
