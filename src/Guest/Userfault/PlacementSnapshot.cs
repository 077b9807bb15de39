namespace MigrationD.Guest.Userfault;

/// <summary>
/// What has been placed and how, counted since <see cref="IncomingMemory.Register"/>. While pages arrive the counters are read one
/// after the other, each right at its moment. At rest <c>PagesUrgent + PagesPush + PagesZero</c> is the number of pages received, and
/// so is <c>Moves4K + 512 * Moves2M + Copies + PagesZero</c>.
/// </summary>
/// <param name="PagesUrgent">Pages with content that came because they were asked for.</param>
/// <param name="PagesPush">Pages with content that the source sent of its own accord.</param>
/// <param name="PagesZero">Pages of zeros, which came without content, on either path.</param>
/// <param name="PagesZeroUrgent">Those of <paramref name="PagesZero"/> that were asked for.</param>
/// <param name="PagesRedundant">Pages that came again after, or while, they were placed, and were dropped.</param>
/// <param name="PagesReplaced">Pages that came again before the guest ran, with newer content.</param>
/// <param name="PagesForgotten">
/// Pages that were made missing again before the guest ran, as they had been written since; they come, and count, twice.
/// </param>
/// <param name="Moves4K">Pages moved one by one or in runs, each a small page.</param>
/// <param name="Moves2M">Blocks of 512 pages moved whole, huge page before and after.</param>
/// <param name="Copies">Pages copied.</param>
/// <param name="Ioctls">Calls of UFFDIO_MOVE, COPY and ZEROPAGE.</param>
/// <param name="Retries">Calls that were made again because the one before said EAGAIN.</param>
/// <param name="BusyFallbacks">
/// Times that moving was the policy and the rest of a run was copied, because the kernel said EBUSY or went on saying EAGAIN.
/// </param>
/// <param name="BlockSplitsAvoided">Whole blocks that were copied because moving onto what was there would split a huge page.</param>
/// <param name="FaultMessages">Messages read from the userfaultfd.</param>
/// <param name="FaultsRequested">Messages that led to a request for a page.</param>
/// <param name="FaultsRepeated">Messages for a page that was asked for already.</param>
/// <param name="FaultsLate">Messages for a page that was there when they were read: it came ahead of its fault.</param>
/// <param name="FaultsOpen">Pages asked for and not placed.</param>
/// <param name="Blocktime">The time from the message to the placing, summed over all pages asked for and placed.</param>
/// <param name="FaultLatency">
/// The same times, as a distribution. Some of <paramref name="FaultsLate"/> are in it: those whose page came while they were entered.
/// </param>
/// <param name="FaultQueue">The part of them until the request was handed to the lane.</param>
/// <param name="FaultNetwork">The part from there until the page's bytes had come.</param>
/// <param name="FaultPlace">The part from there until the page was at its address.</param>
/// <param name="AllVcpusBlocktime">The time in which every vCPU waited for a page at once.</param>
/// <param name="Vcpus">What each vCPU has waited; empty where nobody said which threads they are.</param>
/// <param name="OtherThreads">
/// What threads have waited that are no vCPU's. KVM leaves faults of vCPUs that can take interrupts to threads of the kernel.
/// </param>
public sealed record PlacementSnapshot(
    long PagesUrgent,
    long PagesPush,
    long PagesZero,
    long PagesZeroUrgent,
    long PagesRedundant,
    long PagesReplaced,
    long PagesForgotten,
    long Moves4K,
    long Moves2M,
    long Copies,
    long Ioctls,
    long Retries,
    long BusyFallbacks,
    long BlockSplitsAvoided,
    long FaultMessages,
    long FaultsRequested,
    long FaultsRepeated,
    long FaultsLate,
    long FaultsOpen,
    TimeSpan Blocktime,
    LatencySnapshot FaultLatency,
    LatencySnapshot FaultQueue,
    LatencySnapshot FaultNetwork,
    LatencySnapshot FaultPlace,
    TimeSpan AllVcpusBlocktime,
    IReadOnlyList<ThreadWaits> Vcpus,
    ThreadWaits OtherThreads);
