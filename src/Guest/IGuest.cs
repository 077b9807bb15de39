using MigrationD.Guest.Dirty;

namespace MigrationD.Guest;

/// <summary>
/// A guest in this process. Created paused; <see cref="Resume"/> makes it run. Members may be called from any thread, one at a
/// time; <see cref="Report"/> and <see cref="Console"/> at any time.
/// </summary>
public interface IGuest : IDisposable
{
    /// <summary>What it is made of.</summary>
    GuestSpec Spec { get; }

    /// <summary>Its RAM, which belongs to the creator of the guest and outlives it.</summary>
    GuestMemory Memory { get; }

    /// <summary>Whether its vCPUs run.</summary>
    bool IsRunning { get; }

    /// <summary>Why it cannot go on (triple fault, an exit that nobody handles), or null.</summary>
    string? Failure { get; }

    /// <summary>What it wrote on its serial port, or null when it has none. Outlives it; does not change while it is paused.</summary>
    ConsoleRing? Console { get; }

    /// <summary>The kernel's ids of the threads that run its vCPUs, by vCPU.</summary>
    IReadOnlyList<int> VcpuThreads { get; }

    /// <summary>Lets the vCPUs run, and its devices work, after <see cref="Claim"/> if that is due. Does nothing when they do.</summary>
    void Resume();

    /// <summary>
    /// Stops the vCPUs and returns when none of them executes or can execute guest code; one that waits for a missing page is
    /// taken out of its wait, or stays in it and stops before its next step. Then its devices come to rest: from when this returns nothing
    /// but <c>GuestMemory.Write</c> changes its memory. Does nothing when they are stopped.
    /// </summary>
    /// <exception cref="IOException">
    /// A device does not come to rest. The vCPUs stand still; <see cref="Resume"/> lets all go on.
    /// </exception>
    void Pause();

    /// <summary>
    /// Gives back what only one host may have: locks of its disks, its place in a network. It is paused, and is about to run elsewhere.
    /// Does nothing when it has been given back. Does not throw because of that.
    /// </summary>
    void Release();

    /// <summary>
    /// Takes what only one host may have: the guest is this host's from now on. Done with a new guest; with one that comes, once its source
    /// has released it. What cannot be had is its <see cref="Failure"/>. Does nothing when it has been taken.
    /// </summary>
    void Claim();

    /// <summary>guest.proto's MachineProfile, serialized: what a host must be able to do to run it.</summary>
    byte[] MachineProfile();

    /// <summary>guest.proto's GuestDeviceState, serialized. The guest is paused.</summary>
    byte[] SaveState();

    /// <summary>
    /// Loads what <see cref="SaveState"/> gave on another host into a guest made by <c>GuestFactory.Incoming</c>. May touch guest
    /// memory that is missing, and then waits for it.
    /// </summary>
    /// <exception cref="GuestStateException">A section or version is unknown, or the state does not fit this guest.</exception>
    void LoadState(ReadOnlySpan<byte> state);

    /// <summary>
    /// Opens the log of what is written to its memory, not armed yet. The caller disposes it; the guest's end does too. One at a time.
    /// </summary>
    /// <exception cref="InvalidOperationException">The log that was opened before has not been disposed.</exception>
    IDirtyLog OpenDirtyLog();

    /// <summary>The guest's own counters as last reported.</summary>
    GuestReport Report();
}

/// <summary>What the guest itself reports, counted since it was created, on whatever hosts it ran.</summary>
/// <param name="Steps">Pages visited, over all vCPUs.</param>
/// <param name="Sweeps">Whole passes over every page of the working set; the least over the vCPUs.</param>
/// <param name="CorruptPages">Visits that found a wrong index, version or checksum.</param>
/// <param name="LargestGap">
/// The longest time between two steps of one vCPU, by the guest's own clock, which goes on while it is paused and while it is on its
/// way to another host.
/// </param>
public readonly record struct GuestReport(long Steps, long Sweeps, long CorruptPages, TimeSpan LargestGap)
{
    /// <summary>Sums up what the vCPUs of a guest report.</summary>
    internal static GuestReport Over(IEnumerable<GuestReport> vcpus) => vcpus.Aggregate((all, one) => new GuestReport(
        all.Steps + one.Steps,
        Math.Min(all.Sweeps, one.Sweeps),
        all.CorruptPages + one.CorruptPages,
        all.LargestGap > one.LargestGap ? all.LargestGap : one.LargestGap));
}
