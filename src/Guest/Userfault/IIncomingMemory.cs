using MigrationD.Guest.Memory;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Guest memory whose pages are still to come, as the daemon uses it. <see cref="IncomingMemory"/> is the one that a guest runs in; where there
/// is no userfaultfd, what receives pages is tested on another one.
/// </summary>
public interface IIncomingMemory : IDisposable
{
    /// <inheritdoc cref="IncomingMemory.Memory"/>
    GuestMemory Memory { get; }

    /// <inheritdoc cref="IncomingMemory.Received"/>
    ReceivedPages Received { get; }

    /// <inheritdoc cref="IncomingMemory.Blocks"/>
    ReceivedBlocks Blocks { get; }

    /// <inheritdoc cref="IncomingMemory.WaitFaults"/>
    int WaitFaults(Span<PageFault> into);

    /// <inheritdoc cref="IncomingMemory.StopFaults"/>
    void StopFaults();

    /// <inheritdoc cref="IncomingMemory.NoteHuge"/>
    void NoteHuge(long block);

    /// <inheritdoc cref="IncomingMemory.HugeBlocks"/>
    IReadOnlyList<long> HugeBlocks();

    /// <inheritdoc cref="IncomingMemory.OpenFaults"/>
    IReadOnlyList<PageFault> OpenFaults();

    /// <inheritdoc cref="IncomingMemory.KnowVcpus"/>
    void KnowVcpus(IReadOnlyList<int> threads);

    /// <inheritdoc cref="IncomingMemory.NoteRequest"/>
    void NoteRequest(long page);

    /// <inheritdoc cref="IncomingMemory.CreatePlacer"/>
    IPagePlacer CreatePlacer(int singlePageSlots);

    /// <inheritdoc cref="IncomingMemory.Forget"/>
    long Forget(long firstPage, long pageCount);

    /// <inheritdoc cref="IncomingMemory.Snapshot"/>
    PlacementSnapshot Snapshot();

    /// <inheritdoc cref="IncomingMemory.Complete"/>
    void Complete();
}
