namespace MigrationD.Guest.Userfault;

/// <summary>A page that somebody waits for.</summary>
/// <param name="Page">Its index in guest memory.</param>
/// <param name="ThreadId">
/// The kernel's id of the thread that touched it first. Not always a vCPU's: with an in-kernel LAPIC a kworker raises the fault.
/// </param>
public readonly record struct PageFault(long Page, uint ThreadId);
