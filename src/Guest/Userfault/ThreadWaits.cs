namespace MigrationD.Guest.Userfault;

/// <summary>How often, and how long, threads have waited for missing pages. What they still wait for is not in it.</summary>
/// <param name="Faults">Waits that are over.</param>
/// <param name="Blocktime">From reading the fault until its page was placed, summed.</param>
public readonly record struct ThreadWaits(long Faults, TimeSpan Blocktime);
