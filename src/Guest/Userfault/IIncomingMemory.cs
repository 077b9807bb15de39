namespace MigrationD.Guest.Userfault;

/// <summary>
/// Guest memory whose pages are still to come, as the daemon uses it. <see cref="IncomingMemory"/> is the one that a guest runs in; where
/// there is no userfaultfd, what receives pages is tested on another one.
/// </summary>
public interface IIncomingMemory : IDisposable
{
    /// <inheritdoc cref="IncomingMemory.Memory"/>
    GuestMemory Memory { get; }

    /// <inheritdoc cref="IncomingMemory.Received"/>
    ReceivedPages Received { get; }

    /// <inheritdoc cref="IncomingMemory.Blocks"/>
    ReceivedBlocks Blocks { get; }

    /// <inheritdoc cref="IncomingMemory.Counters"/>
    PlacementCounters Counters { get; }

    /// <inheritdoc cref="IncomingMemory.WaitFaults"/>
    int WaitFaults(Span<PageFault> into);

    /// <inheritdoc cref="IncomingMemory.StopFaults"/>
    void StopFaults();

    /// <inheritdoc cref="IncomingMemory.MarkHuge"/>
    void MarkHuge(long block);

    /// <inheritdoc cref="IncomingMemory.HugeBlocks"/>
    IReadOnlyList<long> HugeBlocks();

    /// <inheritdoc cref="IncomingMemory.OpenFaults"/>
    IReadOnlyList<PageFault> OpenFaults();

    /// <inheritdoc cref="IncomingMemory.SetVcpus"/>
    void SetVcpus(IReadOnlyList<int> threads);

    /// <inheritdoc cref="IncomingMemory.RecordRequest"/>
    void RecordRequest(long page);

    /// <inheritdoc cref="IncomingMemory.CreatePlacer"/>
    IPagePlacer CreatePlacer(int singlePageSlots);

    /// <inheritdoc cref="IncomingMemory.Forget"/>
    long Forget(long firstPage, long pageCount);

    /// <inheritdoc cref="IncomingMemory.Complete"/>
    void Complete();
}
