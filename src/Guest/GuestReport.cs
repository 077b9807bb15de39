namespace MigrationD.Guest;

/// <summary>What the guest itself reports, counted since it was created, on whatever hosts it ran.</summary>
/// <param name="Steps">Pages visited, over all vCPUs.</param>
/// <param name="Sweeps">Whole passes over every page of the working set; the least over the vCPUs.</param>
/// <param name="CorruptPages">Visits that found a wrong index, version or checksum.</param>
/// <param name="LargestGap">
/// The longest time between two steps of one vCPU, by the guest's own clock, which goes on while it is paused and while it is on its
/// way to another host.
/// </param>
public readonly record struct GuestReport(long Steps, long Sweeps, long CorruptPages, TimeSpan LargestGap);
