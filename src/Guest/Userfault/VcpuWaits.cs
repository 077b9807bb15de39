using System.Diagnostics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Knows which vCPUs wait for which page, since when, and how long they have waited: each alone, and all at once. The fault thread opens a
/// wait, the placer of the page closes it; lock-free and free of allocation.
/// </summary>
/// <remarks>
/// The order of writing and looking is that of <see cref="FaultLedger"/>: the fault thread opens the wait before it looks whether the page
/// has come, the placer marks the page before it looks for waits.
/// </remarks>
/// <param name="threads">The kernel's ids of the vCPUs' threads, by vCPU.</param>
internal sealed class VcpuWaits(IReadOnlyList<int> threads)
{
    private const long None = 0;

    private readonly int[] _threads = [.. threads];
    private readonly Wait[] _waits = new Wait[threads.Count];
    private int _waiting;
    private long _lastOpened;
    private long _allTicks;

    /// <summary>The time in which every vCPU waited for a page at once.</summary>
    public TimeSpan AllAtOnce => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _allTicks));

    /// <summary>vCPUs that wait now.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    public bool Has(uint thread) => Array.IndexOf(_threads, (int)thread) >= 0;

    /// <summary>Opens a vCPU's wait for a page; does nothing when the thread is no vCPU's or waits for the page already.</summary>
    /// <remarks>Called by one thread at a time. A full memory barrier when a wait is opened.</remarks>
    public void Open(long page, uint thread, long now)
    {
        int vcpu = Array.IndexOf(_threads, (int)thread);
        if (vcpu < 0 || Volatile.Read(ref _waits[vcpu].Page) == page + 1)
        {
            return;
        }

        // It was taken out of a wait for another page, which has not come, and waits for this one now.
        Close(ref _waits[vcpu], _waits[vcpu].Page, now);
        _waits[vcpu].Since = now;
        Volatile.Write(ref _lastOpened, now);
        _ = Interlocked.Increment(ref _waiting);
        _ = Interlocked.Exchange(ref _waits[vcpu].Page, page + 1);
    }

    /// <summary>Closes the waits for pages that have been marked as received.</summary>
    public void Close(long firstPage, long pageCount, long now)
    {
        for (int vcpu = 0; vcpu < _waits.Length; vcpu++)
        {
            long page = Volatile.Read(ref _waits[vcpu].Page);
            if (page > firstPage && page <= firstPage + pageCount)
            {
                Close(ref _waits[vcpu], page, now);
            }
        }
    }

    public IReadOnlyList<ThreadWaits> Snapshot() =>
        [.. Enumerable.Range(0, _waits.Length).Select(vcpu => new ThreadWaits(
            Interlocked.Read(ref _waits[vcpu].Count), Stopwatch.GetElapsedTime(0, Interlocked.Read(ref _waits[vcpu].Ticks))))];

    private void Close(ref Wait wait, long page, long now)
    {
        // Read first: once the page is exchanged, the fault thread may begin the next wait.
        long since = Volatile.Read(ref wait.Since);
        if (page == None || Interlocked.CompareExchange(ref wait.Page, None, page) != page)
        {
            return;
        }

        _ = Interlocked.Add(ref wait.Ticks, Math.Max(0, now - since));
        _ = Interlocked.Increment(ref wait.Count);
        if (Interlocked.Decrement(ref _waiting) == _waits.Length - 1)
        {
            // All of them waited, since the last one began to. A wait that begins right now can make this too little, never too much.
            _ = Interlocked.Add(ref _allTicks, Math.Max(0, now - Volatile.Read(ref _lastOpened)));
        }
    }

    /// <summary>The wait of one vCPU: the page plus one, or none; and the sum of those that are over.</summary>
    private struct Wait
    {
        public long Page;
        public long Since;
        public long Ticks;
        public long Count;
    }
}

/// <summary>How often, and how long, threads have waited for missing pages. What they still wait for is not in it.</summary>
/// <param name="Faults">Waits that are over.</param>
/// <param name="Blocktime">From reading the fault until its page was placed, summed.</param>
public readonly record struct ThreadWaits(long Faults, TimeSpan Blocktime);
