namespace MigrationD.Guest.Userfault;

/// <summary>
/// What has been placed and how, counted since <see cref="IncomingMemory.Register"/>. While pages arrive the counters are read one
/// after the other, each right at its moment. At rest <c>PagesUrgent + PagesPush + PagesZero</c> is the number of pages
/// received, and so is <c>Moves4K + 512 * Moves2M + Copies + PagesZero</c>.
/// </summary>
public sealed class PlacementCounters
{
    private readonly FaultLedger _ledger;

    internal PlacementCounters(FaultLedger ledger) => _ledger = ledger;

    /// <summary>Pages with content that came because they were asked for.</summary>
    public PlacementCounter PagesUrgent { get; } = new();

    /// <summary>Pages with content that the source sent of its own accord.</summary>
    public PlacementCounter PagesPush { get; } = new();

    /// <summary>Pages of zeros, which came without content, on either path.</summary>
    public PlacementCounter PagesZero { get; } = new();

    /// <summary>Those of <see cref="PagesZero"/> that were asked for.</summary>
    public PlacementCounter PagesZeroUrgent { get; } = new();

    /// <summary>Pages that came again after, or while, they were placed, and were dropped.</summary>
    public PlacementCounter PagesRedundant { get; } = new();

    /// <summary>Pages that came again before the guest ran, with newer content.</summary>
    public PlacementCounter PagesReplaced { get; } = new();

    /// <summary>
    /// Pages that were made missing again before the guest ran, as they had been written since; they come, and count, twice.
    /// </summary>
    public PlacementCounter PagesForgotten { get; } = new();

    /// <summary>Pages moved one by one or in runs, each a small page.</summary>
    public PlacementCounter Moves4K { get; } = new();

    /// <summary>Blocks of 512 pages moved whole, huge page before and after.</summary>
    public PlacementCounter Moves2M { get; } = new();

    /// <summary>Pages copied.</summary>
    public PlacementCounter Copies { get; } = new();

    /// <summary>Calls of UFFDIO_MOVE, COPY and ZEROPAGE.</summary>
    public PlacementCounter Ioctls { get; } = new();

    /// <summary>Calls that were made again because the one before said EAGAIN.</summary>
    public PlacementCounter Retries { get; } = new();

    /// <summary>
    /// Times that moving was the policy and the rest of a run was copied, because the kernel said EBUSY or went on saying EAGAIN.
    /// </summary>
    public PlacementCounter BusyFallbacks { get; } = new();

    /// <summary>Whole blocks that were copied because moving onto what was there would split a huge page.</summary>
    public PlacementCounter BlockSplitsAvoided { get; } = new();

    /// <summary>Messages read from the userfaultfd.</summary>
    public PlacementCounter FaultMessages { get; } = new();

    /// <summary>Messages that led to a request for a page.</summary>
    public PlacementCounter FaultsRequested { get; } = new();

    /// <summary>Messages for a page that was asked for already.</summary>
    public PlacementCounter FaultsRepeated { get; } = new();

    /// <summary>Messages for a page that was there when they were read: it came ahead of its fault.</summary>
    public PlacementCounter PrefetchHits { get; } = new();

    /// <summary>Pages asked for and not placed.</summary>
    public long FaultsOpen => _ledger.OpenCount;

    /// <summary>The time from the message to the placing, summed over all pages asked for and placed.</summary>
    public TimeSpan Blocktime => _ledger.Blocktime;

    /// <summary>
    /// The same times, as a distribution. Some of <see cref="PrefetchHits"/> are in it: those whose page came while they were entered.
    /// </summary>
    public LatencySnapshot FaultLatency => _ledger.Latency.Snapshot();

    /// <summary>The part of them until the request was handed to the lane.</summary>
    public LatencySnapshot FaultQueue => _ledger.Queue.Snapshot();

    /// <summary>The part from there until the page's bytes had come.</summary>
    public LatencySnapshot FaultNetwork => _ledger.Network.Snapshot();

    /// <summary>The part from there until the page was at its address.</summary>
    public LatencySnapshot FaultPlace => _ledger.Place.Snapshot();

    /// <summary>The time in which every vCPU waited for a page at once.</summary>
    public TimeSpan AllVcpusBlocktime => _ledger.Vcpus.AllAtOnce;

    /// <summary>What each vCPU has waited; empty where nobody said which threads they are.</summary>
    public IReadOnlyList<ThreadWaits> Vcpus => _ledger.Vcpus.Snapshot();

    /// <summary>
    /// What threads have waited that are no vCPU's. KVM leaves faults of vCPUs that can take interrupts to threads of the kernel.
    /// </summary>
    public ThreadWaits OtherThreads => _ledger.Others;
}

/// <summary>A counter that any thread adds to and any thread reads.</summary>
public sealed class PlacementCounter
{
    private long _value;

    /// <summary>What has been added so far.</summary>
    public long Value => Interlocked.Read(ref _value);

    internal void Add(long amount) => Interlocked.Add(ref _value, amount);
}
