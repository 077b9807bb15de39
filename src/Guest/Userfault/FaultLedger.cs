using System.Diagnostics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Knows which pages are asked for and not placed, since when, and for which thread. Each page has one entry, which the fault thread opens
/// and the placer of the page closes; lock-free and free of allocation.
/// </summary>
/// <remarks>
/// An entry must not be opened behind the back of the thread that places the page, or it would stay open for ever. Both sides write
/// first and look second, with a full barrier in between: the placer marks the page as received and then looks for an entry, the fault
/// thread opens the entry and then looks whether the page is received. At least one of them sees what the other did, and closing is
/// an exchange that only one of them wins.
/// <para>An entry also keeps when its request was handed to the lane. With the moment at which the page's bytes had come, which its placer
/// knows, that splits the wait in three: queue (until the request was handed over), network (until the bytes were there), place. Entered
/// before the request is written and not after: on a busy host the page can be here before the writer runs on.</para>
/// <para>The entries, 16 bytes for each page of the guest, are native memory of zeros, which the kernel backs where a fault was entered: as
/// arrays they would be 4 MB of the managed heap for each GB of guest. They are freed by the finalizer and in no other way, so no thread
/// that still has the ledger can come too late.</para>
/// </remarks>
/// <param name="received">Which pages are there.</param>
/// <param name="served">Told how long each entry was open, in ticks of <see cref="Stopwatch"/>, by the thread that closes it.</param>
internal sealed unsafe class FaultLedger(ReceivedPages received, Action<long>? served = null)
{
    private const long Closed = 0;

    private readonly long* _openedAt = (long*)NativeMemory.AllocZeroed((nuint)received.Total, sizeof(long));
    private readonly uint* _threads = (uint*)NativeMemory.AllocZeroed((nuint)received.Total, sizeof(uint));

    // Ticks after _openedAt, so that half the memory is enough; 0 while the page has not been requested.
    private readonly uint* _requestedAfter = (uint*)NativeMemory.AllocZeroed((nuint)received.Total, sizeof(uint));
    private long _open;
    private long _blockedTicks;
    private long _otherTicks;
    private long _otherCount;
    private volatile VcpuWaits _vcpus = new([]);

    ~FaultLedger()
    {
        NativeMemory.Free(_openedAt);
        NativeMemory.Free(_threads);
        NativeMemory.Free(_requestedAfter);
    }

    /// <summary>How long pages took to come once they were asked for.</summary>
    public LatencyHistogram Latency { get; } = new();

    /// <summary>The part of <see cref="Latency"/> until the request for the page was handed to the lane.</summary>
    public LatencyHistogram Queue { get; } = new();

    /// <summary>The part from there until the page's bytes had come.</summary>
    public LatencyHistogram Network { get; } = new();

    /// <summary>The part from there until the page was at its address.</summary>
    public LatencyHistogram Place { get; } = new();

    /// <summary>What the vCPUs have waited. Nothing until <see cref="SetVcpus"/> has said which threads they are.</summary>
    public VcpuWaits Vcpus => _vcpus;

    /// <summary>What threads have waited that are no vCPU's: KVM's own, and those that load device state.</summary>
    public ThreadWaits Others => new(Interlocked.Read(ref _otherCount), Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _otherTicks)));

    public long OpenCount => Interlocked.Read(ref _open);

    /// <summary>The time that closed entries were open, summed.</summary>
    public TimeSpan Blocktime => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _blockedTicks));

    /// <summary>
    /// Opens the entry of a page. <see cref="FaultOutcome.Received"/>: the page is there, its waiters have to be woken. Called by one
    /// thread at a time.
    /// </summary>
    public FaultOutcome Open(long page, uint thread)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)page, (ulong)received.Total);
        if (received.IsReceived(page))
        {
            return FaultOutcome.Received;
        }

        long now = Stopwatch.GetTimestamp();
        _vcpus.Open(page, thread, now);
        bool isNew = Volatile.Read(ref _openedAt[page]) == Closed;
        if (isNew)
        {
            _threads[page] = thread;
            _requestedAfter[page] = 0;
            _ = Interlocked.Increment(ref _open);
            _ = Interlocked.Exchange(ref _openedAt[page], now);
        }

        bool cameMeanwhile = received.IsReceived(page);
        if (cameMeanwhile)
        {
            CloseEntry(page, now, now);
            _vcpus.Close(page, 1, now);
        }

        GC.KeepAlive(this);
        return !isNew ? FaultOutcome.Repeated : cameMeanwhile ? FaultOutcome.Received : FaultOutcome.Request;
    }

    /// <summary>Records that a page's request is handed to the lane now; nothing when the page has come, or was requested before.</summary>
    public void RecordRequest(long page)
    {
        ThrowIfOutside(page, 1);
        long openedAt = Volatile.Read(ref _openedAt[page]);
        if (openedAt != Closed && Volatile.Read(ref _requestedAfter[page]) == 0)
        {
            long after = Math.Clamp(Stopwatch.GetTimestamp() - openedAt, 1, uint.MaxValue);
            Volatile.Write(ref _requestedAfter[page], (uint)after);
        }

        GC.KeepAlive(this);
    }

    /// <summary>
    /// Closes the entries of pages that have been marked as received. Their bytes had come at <paramref name="arrivedAt"/>, in ticks of
    /// <see cref="Stopwatch"/>.
    /// </summary>
    public void Close(long firstPage, long pageCount, long arrivedAt)
    {
        ThrowIfOutside(firstPage, pageCount);
        long now = Stopwatch.GetTimestamp();
        for (long page = firstPage; page < firstPage + pageCount; page++)
        {
            if (Volatile.Read(ref _openedAt[page]) != Closed)
            {
                CloseEntry(page, arrivedAt, now);
            }
        }

        _vcpus.Close(firstPage, pageCount, now);
        GC.KeepAlive(this);
    }

    /// <summary>Says which threads the vCPUs are, by vCPU, before any of them runs.</summary>
    public void SetVcpus(IReadOnlyList<int> vcpuThreads) => _vcpus = new VcpuWaits(vcpuThreads);

    public bool AnyOpen(long firstPage, long pageCount)
    {
        ThrowIfOutside(firstPage, pageCount);
        bool any = new ReadOnlySpan<long>(_openedAt + firstPage, (int)pageCount).IndexOfAnyExcept(Closed) >= 0;
        GC.KeepAlive(this);
        return any;
    }

    /// <summary>The pages whose entries are open at the moment each is looked at, in order.</summary>
    public IReadOnlyList<PageFault> OpenFaults()
    {
        var faults = new List<PageFault>();
        for (long page = 0; page < received.Total; page++)
        {
            if (Volatile.Read(ref _openedAt[page]) != Closed)
            {
                faults.Add(new PageFault(page, _threads[page]));
            }
        }

        GC.KeepAlive(this);
        return faults;
    }

    private void ThrowIfOutside(long firstPage, long pageCount)
    {
        if (firstPage < 0 || pageCount < 0 || pageCount > received.Total - firstPage)
        {
            throw new ArgumentOutOfRangeException(
                nameof(firstPage), firstPage, $"{pageCount} pages from there on are not inside memory of {received.Total} pages");
        }
    }

    private void CloseEntry(long page, long arrivedAt, long now)
    {
        // Read first: a closed entry is the fault thread's to open anew.
        uint thread = _threads[page];
        uint requestedAfter = Volatile.Read(ref _requestedAfter[page]);
        long openedAt = Interlocked.Exchange(ref _openedAt[page], Closed);
        if (openedAt == Closed)
        {
            return;
        }

        // Bytes can have come before the fault, and before the request was written: then nobody waited for the network.
        long ticks = Math.Max(0, now - openedAt);
        long arrivedAfter = Math.Clamp(arrivedAt - openedAt, 0, ticks);
        long queued = requestedAfter == 0 ? arrivedAfter : Math.Min(requestedAfter, arrivedAfter);
        Latency.Record(ticks);
        Queue.Record(queued);
        Network.Record(arrivedAfter - queued);
        Place.Record(ticks - arrivedAfter);
        _ = Interlocked.Add(ref _blockedTicks, ticks);
        _ = Interlocked.Decrement(ref _open);
        if (!_vcpus.Has(thread))
        {
            _ = Interlocked.Add(ref _otherTicks, ticks);
            _ = Interlocked.Increment(ref _otherCount);
        }

        served?.Invoke(ticks);
    }
}

/// <summary>What a fault message comes to.</summary>
internal enum FaultOutcome
{
    /// <summary>The page has to be asked for.</summary>
    Request,

    /// <summary>The page was asked for before, and has not come.</summary>
    Repeated,

    /// <summary>The page has come since the fault.</summary>
    Received,
}

/// <summary>A page that somebody waits for.</summary>
/// <param name="Page">Its index in guest memory.</param>
/// <param name="ThreadId">
/// The kernel's id of the thread that touched it first. Not always a vCPU's: with an in-kernel LAPIC a kworker raises the fault.
/// </param>
public readonly record struct PageFault(long Page, uint ThreadId);
