using System.Diagnostics;
using System.Runtime.InteropServices;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Which pages are asked for and not placed, since when, and for which thread. One entry per page, opened by the fault thread and
/// closed by whoever places the page; lock-free and free of allocation.
/// </summary>
/// <remarks>
/// An entry must not be opened behind the back of the thread that places the page, or it would stay open for ever. Both sides write
/// first and look second, with a full barrier in between: the placer marks the page as received and then looks for an entry, the fault
/// thread opens the entry and then looks whether the page is received. At least one of them sees what the other did, and closing is
/// an exchange that only one of them wins.
/// <para>The entries, 12 bytes for each page of the guest, are native memory of zeros, which the kernel backs where a fault was entered: as
/// arrays they would be 3 MB of the managed heap for each GB of guest. They are freed by the finalizer and in no other way, so no thread
/// that still has the ledger can come too late.</para>
/// </remarks>
internal sealed unsafe class FaultLedger
{
    private const long Closed = 0;

    private readonly long* _openedAt;
    private readonly uint* _threads;
    private readonly ReceivedPages _received;
    private long _open;
    private long _blockedTicks;

    public FaultLedger(ReceivedPages received)
    {
        _received = received;
        _openedAt = (long*)NativeMemory.AllocZeroed((nuint)received.Total, sizeof(long));
        _threads = (uint*)NativeMemory.AllocZeroed((nuint)received.Total, sizeof(uint));
    }

    /// <summary>Frees the entries.</summary>
    ~FaultLedger()
    {
        NativeMemory.Free(_openedAt);
        NativeMemory.Free(_threads);
    }

    /// <summary>How long pages took to come once they were asked for.</summary>
    public LatencyHistogram Latency { get; } = new();

    /// <summary>Entries that are open.</summary>
    public long OpenCount => Interlocked.Read(ref _open);

    /// <summary>The time that closed entries were open, summed.</summary>
    public TimeSpan Blocktime => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _blockedTicks));

    /// <summary>
    /// Opens the entry of a page. <see cref="FaultOutcome.Received"/>: the page is there, its waiters have to be woken.
    /// </summary>
    public FaultOutcome Open(long page, uint thread)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)page, (ulong)_received.Total);
        if (_received.IsReceived(page))
        {
            return FaultOutcome.Received;
        }

        _threads[page] = thread;
        if (Interlocked.CompareExchange(ref _openedAt[page], Stopwatch.GetTimestamp(), Closed) != Closed)
        {
            return FaultOutcome.Repeated;
        }

        _ = Interlocked.Increment(ref _open);
        if (_received.IsReceived(page))
        {
            Close(page);
            return FaultOutcome.Received;
        }

        GC.KeepAlive(this);
        return FaultOutcome.Request;
    }

    /// <summary>Closes the entries of pages that have been marked as received.</summary>
    public void Close(long firstPage, long pageCount)
    {
        ThrowIfOutside(firstPage, pageCount);
        for (long page = firstPage; page < firstPage + pageCount; page++)
        {
            if (Volatile.Read(ref _openedAt[page]) != Closed)
            {
                Close(page);
            }
        }

        GC.KeepAlive(this);
    }

    /// <summary>Whether an entry of these pages is open.</summary>
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
        for (long page = 0; page < _received.Total; page++)
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
        if (firstPage < 0 || pageCount < 0 || pageCount > _received.Total - firstPage)
        {
            throw new ArgumentOutOfRangeException(
                nameof(firstPage), firstPage, $"{pageCount} pages from there on are not inside memory of {_received.Total} pages");
        }
    }

    private void Close(long page)
    {
        long openedAt = Interlocked.Exchange(ref _openedAt[page], Closed);
        if (openedAt == Closed)
        {
            return;
        }

        long ticks = Stopwatch.GetTimestamp() - openedAt;
        Latency.Record(ticks);
        _ = Interlocked.Add(ref _blockedTicks, ticks);
        _ = Interlocked.Decrement(ref _open);
    }
}
