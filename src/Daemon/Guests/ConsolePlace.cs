using MigrationD.Guest;

namespace MigrationD.Daemon.Guests;

/// <summary>Where a guest's console is to be read, at one moment.</summary>
/// <param name="Ring">What this node has of it; null when it has nothing.</param>
/// <param name="Switchover">How many bytes the guest had written when it was given away the last time.</param>
/// <param name="Elsewhere">Where it goes on; null when the guest is here, or is nowhere.</param>
/// <param name="MigrationId">The migration that holds the guest or took it away; empty when none.</param>
/// <param name="Failure">Why the guest will never write anything again; null when it may.</param>
/// <param name="IsComing">Whether the guest is on its way here, and not owned here yet.</param>
/// <param name="Returned">Fires when the guest is not elsewhere any more: it is back, or its record was deleted.</param>
internal readonly record struct ConsolePlace(
    ConsoleRing? Ring, long Switchover, IConsoleElsewhere? Elsewhere, string MigrationId, string? Failure, bool IsComing,
    CancellationToken Returned);
