using MigrationD.Guest.Userfault;

namespace MigrationD.Guest.Dirty;

/// <summary>
/// Which pages of a guest's memory were written, from harvest to harvest, while the guest runs. <c>IGuest.OpenDirtyLog</c> gives the
/// one that fits the guest.
/// </summary>
/// <remarks>
/// <para><b>The promise.</b> Every write to guest memory, by a vCPU, by the kernel on its behalf, or by this process through
/// <see cref="GuestMemory.Write"/>, is either seen by whoever reads the page after a harvest has returned, or is in a later harvest, or
/// both. So: <b>harvest first, then copy</b> the pages that the harvest gave. A page that is copied and then harvested may be stale for
/// ever. Copying the whole memory comes after <see cref="Arm"/>, for the same reason.</para>
/// <para>A harvest may name more pages than were written, never fewer: all pages of a huge page that came with the first touch of its
/// block, a page that was only read for the first time, and pages that were written with what they held already.</para>
/// <para>Everything that <c>IGuest.Pause</c> waits for is over when it returns, so what a harvest of a paused guest names is all
/// that the copy lacks.</para>
/// <para>Pages must not be taken away meanwhile (MADV_DONTNEED, MADV_REMOVE): a page that turns to zeros that way is not named.</para>
/// <para><b>What it costs</b> is paid by the guest: its first write to each page after a harvest is a fault. The benchmark <c>dirty</c>
/// measures it, docs/architecture.md has the reasons.</para>
/// <para>All members may be called from any thread and wait for each other; none waits for the guest. A thread that carries pages should
/// not call them: arming takes milliseconds for each GiB.</para>
/// </remarks>
public interface IDirtyLog : IDisposable
{
    /// <summary>Whether writes are logged.</summary>
    bool IsArmed { get; }

    /// <summary>
    /// Begins to log, with no page in the log. The guest may run. Never to be called while the guest is paused for its switchover: it
    /// protects every page that is there. Does nothing when the log is armed.
    /// </summary>
    /// <exception cref="UserfaultfdException">This process may not open a userfaultfd, or the kernel is older than 6.7.</exception>
    /// <exception cref="SystemCallException">The kernel refused; nothing is logged.</exception>
    /// <exception cref="NotSupportedException">The kernel or its KVM cannot log writes; the message says what it lacks.</exception>
    /// <exception cref="InvalidOperationException">Pages of the memory are still to come from another host.</exception>
    void Arm();

    /// <summary>
    /// Puts the pages that were written since the last harvest, or since <see cref="Arm"/>, into <paramref name="into"/>, beside those that
    /// are in there, and logs from anew: for each page in one step, so that a write comes before it or after it. The guest may run.
    /// </summary>
    /// <returns>Pages harvested, whether they were in <paramref name="into"/> already or not.</returns>
    /// <exception cref="InvalidOperationException">The log is not armed.</exception>
    /// <exception cref="ArgumentException"><paramref name="into"/> is of another number of pages than the memory.</exception>
    /// <exception cref="SystemCallException">
    /// The kernel refused. Nothing is lost: what was taken out of the log is in <paramref name="into"/>, the rest in the log.
    /// </exception>
    long Harvest(PageSet into);

    /// <summary>
    /// The same, and leaves the log as it is: for the harvest of the switchover, which pays for no new protection. When the guest then goes
    /// on after all, the next harvest names these pages once more. The guest is paused; while it runs the answer is soon old.
    /// </summary>
    /// <inheritdoc cref="Harvest" path="/returns"/>
    /// <inheritdoc cref="Harvest" path="/exception"/>
    long HarvestLast(PageSet into);

    /// <summary>
    /// Ends logging; the guest writes at full speed from then on. The guest may run. Takes about as long as <see cref="Arm"/>. Not needed
    /// before a guest that has left is disposed. Does nothing when the log is not armed.
    /// </summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    void Disarm();
}
