using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Guest memory whose pages are still to come. Owns the userfaultfd, the registration, the received bitmap, the ledger of faults and
/// the counters.
/// </summary>
/// <remarks>
/// <para>
/// One fault thread calls <see cref="WaitFaults"/>; each receiving thread places pages with a <see cref="PagePlacer"/> of its own;
/// everything else may be called from any thread.
/// </para>
/// <para>
/// The one promise that all of this stands on: <b>a missing page is never read as zeros</b>. The kernel gives zeros for pages that are
/// missing once their range is unregistered or the userfaultfd is closed, so the first happens in <see cref="Complete"/> only, when
/// every page is there, and the second only after that, or after the memory itself has been taken away.
/// </para>
/// </remarks>
public sealed unsafe class IncomingMemory : IIncomingMemory
{
    private const int MessagesPerRead = 64;

    private readonly FaultLedger _ledger;
    private readonly SafeFileHandle _stop;
    private readonly Lock _faultThread = new();
    private readonly bool[] _wereHuge;
    private int _completed;
    private int _disposed;

    private IncomingMemory(
        GuestMemory memory, Placement placement, Userfaultfd userfaultfd, Pagemap? pagemap, SafeFileHandle stop,
        Action<long>? faultServed)
    {
        Memory = memory;
        Placement = placement;
        Userfaultfd = userfaultfd;
        Pagemap = pagemap;
        _stop = stop;
        Received = new ReceivedPages(memory.PageCount);
        Blocks = new ReceivedBlocks(memory.BlockCount);
        _wereHuge = new bool[memory.BlockCount];
        _ledger = new FaultLedger(Received, faultServed);
        Counters = new PlacementCounters(_ledger);
    }

    /// <summary>The memory that pages come to.</summary>
    public GuestMemory Memory { get; }

    /// <summary>How pages get to their addresses.</summary>
    public Placement Placement { get; }

    /// <summary>Which pages are there.</summary>
    public ReceivedPages Received { get; }

    /// <summary>The ways in which pages came, block by block.</summary>
    public ReceivedBlocks Blocks { get; }

    /// <summary>What has been placed and how, and who waited.</summary>
    public PlacementCounters Counters { get; }

    /// <summary>Whether <see cref="Complete"/> has succeeded.</summary>
    public bool IsCompleted => Volatile.Read(ref _completed) != 0;

    internal Userfaultfd Userfaultfd { get; }

    internal Pagemap? Pagemap { get; }

    /// <summary>
    /// Opens a userfaultfd and registers <paramref name="memory"/>, which nobody has touched, for faults of missing pages. The memory stays
    /// the caller's to dispose; but see <see cref="Dispose"/>.
    /// </summary>
    /// <param name="memory">The memory.</param>
    /// <param name="placement">How pages get to their addresses.</param>
    /// <param name="faultServed">
    /// Told, for each page that was asked for, how many ticks of <see cref="System.Diagnostics.Stopwatch"/> it took until it was placed;
    /// called after the waiting thread has been woken, by the thread that placed the page, which others may be waiting for.
    /// </param>
    /// <exception cref="UserfaultfdException">
    /// This process may not open one, or the kernel lacks UFFDIO_MOVE (with <see cref="Userfault.Placement.Move"/>) or THREAD_ID.
    /// </exception>
    /// <exception cref="SystemCallException">The kernel refused to register the memory.</exception>
    /// <exception cref="InvalidOperationException">Something has touched the memory: those pages could never be missing.</exception>
    public static IncomingMemory Register(GuestMemory memory, Placement placement, Action<long>? faultServed = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        Userfaultfd userfaultfd = Userfaultfd.Open(
            UserfaultfdFeatures.ThreadId | (placement == Placement.Move ? UserfaultfdFeatures.Move : UserfaultfdFeatures.None));
        Pagemap? pagemap = null;
        try
        {
            pagemap = Pagemap.TryOpen();
            int descriptor = Libc.EventDescriptor(0, Libc.CloseOnExec | Libc.NonBlocking);
            if (descriptor < 0)
            {
                throw SystemCallException.FromLast("eventfd");
            }

            var stop = new SafeFileHandle(descriptor, ownsHandle: true);
            var incoming = new IncomingMemory(memory, placement, userfaultfd, pagemap, stop, faultServed);
            incoming.RegisterRange();
            return incoming;
        }
        catch
        {
            // Nothing runs on this memory yet, so closing takes nothing from anybody.
            pagemap?.Dispose();
            userfaultfd.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Waits until there are faults of pages that have to be asked for, writes them, and returns how many; 0 once
    /// <see cref="StopFaults"/> has been called. Called by one thread, the fault thread.
    /// </summary>
    /// <remarks>
    /// A page that came after its fault is not among them, its waiters are woken; nor is a page that this method has returned before
    /// and that has not come: signals and collections make the kernel repeat itself.
    /// </remarks>
    /// <exception cref="ArgumentException"><paramref name="into"/> is empty.</exception>
    /// <exception cref="SystemCallException">The userfaultfd is broken.</exception>
    public int WaitFaults(Span<PageFault> into)
    {
        if (into.IsEmpty)
        {
            throw new ArgumentException("there is no room for a single fault", nameof(into));
        }

        // Held while the descriptors are in use, so that Dispose can wait for that to end.
        lock (_faultThread)
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            while (PollUntilReadable())
            {
                int faults = ReadFaults(into);
                if (faults > 0)
                {
                    return faults;
                }
            }

            return 0;
        }
    }

    /// <summary>
    /// Makes <see cref="WaitFaults"/> return 0, now and from now on. Faults are not read any more; threads that wait go on waiting.
    /// </summary>
    public void StopFaults()
    {
        ulong one = 1;
        try
        {
            // EAGAIN: the counter of the eventfd is full, so it is readable, which is all that is wanted.
            if (Libc.Write(_stop, &one, sizeof(ulong)) != sizeof(ulong) && SystemCallException.LastError != Errno.EAGAIN)
            {
                throw SystemCallException.FromLast("write eventfd");
            }
        }
        catch (ObjectDisposedException)
        {
            // Disposed, so WaitFaults has ended for good.
        }
    }

    /// <summary>Remembers that a block of 2 MiB was one huge page where it comes from. Any thread.</summary>
    public void MarkHuge(long block) => Volatile.Write(ref _wereHuge[block], true);

    /// <summary>The blocks marked so, in order, which a <see cref="HugePageRestorer"/> makes huge again in complete memory.</summary>
    public IReadOnlyList<long> HugeBlocks() =>
        [.. Enumerable.Range(0, _wereHuge.Length).Where(block => Volatile.Read(ref _wereHuge[block])).Select(block => (long)block)];

    /// <summary>
    /// Pages that <see cref="WaitFaults"/> returned and that are not placed, in order: what to ask for again after a lost link.
    /// </summary>
    public IReadOnlyList<PageFault> OpenFaults() => _ledger.OpenFaults();

    /// <summary>Says which threads the guest's vCPUs are, by vCPU, before any of them runs: whose waits are counted as theirs.</summary>
    /// <param name="threads">The kernel's ids, as <see cref="PageFault.ThreadId"/> has them.</param>
    public void SetVcpus(IReadOnlyList<int> threads) => _ledger.SetVcpus(threads);

    /// <summary>
    /// Records that a page that <see cref="WaitFaults"/> or <see cref="OpenFaults"/> returned is requested now; to be called right before.
    /// Takes no lock and allocates nothing.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public void RecordRequest(long page) => _ledger.RecordRequest(page);

    /// <summary>Makes what one receiving thread places pages with.</summary>
    /// <param name="singlePageSlots">How many single pages it may place before it calls <see cref="PagePlacer.Refill"/>.</param>
    /// <exception cref="SystemCallException">Staging cannot be mapped.</exception>
    public PagePlacer CreatePlacer(int singlePageSlots)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        return new PagePlacer(this, singlePageSlots);
    }

    /// <inheritdoc/>
    IPagePlacer IIncomingMemory.CreatePlacer(int singlePageSlots) => CreatePlacer(singlePageSlots);

    /// <summary>
    /// Makes pages that have come missing again, because they are not any more what they are on the source. Before the guest has run, and
    /// while no thread places pages: nobody may have read them.
    /// </summary>
    /// <returns>How many pages of the range had come.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the memory.</exception>
    /// <exception cref="SystemCallException">The kernel refused; what it has not taken away is there as before.</exception>
    public long Forget(long firstPage, long pageCount)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (IsCompleted)
        {
            throw new InvalidOperationException("guest memory is complete: its pages are the guest's, and nobody takes them back");
        }

        long forgotten = 0;
        long end = firstPage + pageCount;
        for (long page = Received.NextReceived(firstPage); page < end; page = Received.NextReceived(page))
        {
            long run = Math.Min(Received.NextMissing(page), end) - page;
            Memory.Discard(page, run);
            Received.Unmark(page, run);
            forgotten += run;
            page += run;
        }

        Counters.PagesForgotten.Add(forgotten);
        return forgotten;
    }

    /// <summary>Ends the registration: from now on this is memory like any other.</summary>
    /// <exception cref="InvalidOperationException">Pages are missing. Nothing has changed.</exception>
    /// <exception cref="SystemCallException">The kernel refused; nothing has changed.</exception>
    public void Complete()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        long missing = Received.Total - Received.Count;
        if (missing > 0)
        {
            throw new InvalidOperationException(
                $"guest memory is not complete: {missing} of {Received.Total} pages are missing, "
                + $"the first is page {Received.NextMissing(0)}");
        }

        // The kernel has the last word: a page that is marked and not there would turn into zeros below.
        nint hole = Pagemap?.FirstMissing(Memory.Address, Memory.AddressAfter(Memory.PageCount)) ?? -1;
        if (hole != -1)
        {
            throw new InvalidOperationException(
                $"guest memory is not complete: page {Memory.PageAt((ulong)hole)} is marked as received and is not there");
        }

        if (Interlocked.Exchange(ref _completed, 1) != 0)
        {
            return;
        }

        Errno error = Userfaultfd.Unregister(Memory.Address, Memory.Length);
        if (error != Errno.None)
        {
            Volatile.Write(ref _completed, 0);
            throw new SystemCallException($"UFFDIO_UNREGISTER start=0x{Memory.Address:x} length=0x{Memory.Length:x}", error);
        }

        // From here on khugepaged may join what came in small pages.
        Memory.AllowHugeFaults(true);
    }

    /// <summary>
    /// After <see cref="Complete"/>: closes the userfaultfd, and the memory stays. Before it: <b>takes the memory away</b>, then closes.
    /// The caller has stopped the guest and every thread that places pages.
    /// </summary>
    /// <remarks>
    /// The order on an incomplete memory: the fault thread is sent out of <see cref="WaitFaults"/>; the pages are replaced by an
    /// inaccessible mapping; the userfaultfd is closed, which wakes whoever still waits for a page, and it finds that mapping (SIGSEGV,
    /// EFAULT in a system call) and no zeros. The mapping stays until the owner disposes <see cref="Memory"/>, once all who may have
    /// waited have ended: a thread that is awake may not have looked again yet, and unmapped addresses are soon another mapping's.
    /// </remarks>
    public void Dispose()
    {
        if (Volatile.Read(ref _disposed) != 0)
        {
            return;
        }

        StopFaults();
        lock (_faultThread)
        {
            if (Interlocked.Exchange(ref _disposed, 1) != 0)
            {
                return;
            }

            if (!IsCompleted)
            {
                // When this throws, the userfaultfd stays open: a leak, and waiters that wait, rather than zeros.
                Memory.Revoke();
            }

            Userfaultfd.Dispose();
            _stop.Dispose();
            Pagemap?.Dispose();
        }
    }

    /// <summary>
    /// Enters pages that the caller has just placed into the bitmap and the ledger. They are the caller's alone: the kernel lets one
    /// placer win a page. Those that are new are added to <paramref name="counter"/>.
    /// </summary>
    internal long MarkPlaced(long firstPage, long pageCount, long arrivedAt, PlacementCounter counter)
    {
        long newly = Received.Mark(firstPage, pageCount, counter);
        _ledger.Close(firstPage, pageCount, arrivedAt);
        return newly;
    }

    /// <summary>Whether anybody is known to wait for one of these pages.</summary>
    internal bool AnyFaultOpen(long firstPage, long pageCount) => _ledger.AnyOpen(firstPage, pageCount);

    private void RegisterRange()
    {
        // Where a huge page is allowed, the kernel prepares one, clearing 2 MiB, for the first write to every block, and throws it away
        // when it finds that the fault is ours: that doubles the latency of such a fault. Huge pages that are moved in stay huge.
        Memory.AllowHugeFaults(false);
        Errno error = Userfaultfd.Register(Memory.Address, Memory.Length);
        if (error != Errno.None)
        {
            throw new SystemCallException($"UFFDIO_REGISTER mode=MISSING start=0x{Memory.Address:x} length=0x{Memory.Length:x}", error);
        }

        // After registering, so that nothing can slip in between the two.
        if (Pagemap is not null && Pagemap.AnyTouched(Memory.Address, Memory.AddressAfter(Memory.PageCount)))
        {
            throw new InvalidOperationException(
                "guest memory has been touched before it was registered for userfaults: what is there would never be asked for. Map it "
                + "anew, register it first, and only then make a guest of it.");
        }
    }

    /// <summary>Waits for messages; false when told to stop.</summary>
    private bool PollUntilReadable()
    {
        var polled = stackalloc Libc.PolledDescriptor[2];
        polled[0] = new Libc.PolledDescriptor { Descriptor = (int)_stop.DangerousGetHandle(), Wanted = Libc.PollEvents.In };
        polled[1] = polled[0] with { Descriptor = (int)Userfaultfd.Descriptor.DangerousGetHandle() };
        while (Libc.Poll(polled, 2, timeoutMilliseconds: -1) < 0)
        {
            if (SystemCallException.LastError != Errno.EINTR)
            {
                throw SystemCallException.FromLast("poll userfaultfd");
            }
        }

        if (polled[0].Returned != Libc.PollEvents.None)
        {
            return false;
        }

        return polled[1].Returned == Libc.PollEvents.In
            ? true
            : throw new IOException($"poll userfaultfd: {polled[1].Returned}; the descriptor is broken, no fault can be read any more");
    }

    [SkipLocalsInit]
    private int ReadFaults(Span<PageFault> into)
    {
        var messages = stackalloc UserfaultfdAbi.Message[MessagesPerRead];
        int read = Userfaultfd.ReadMessages(messages, Math.Min(into.Length, MessagesPerRead));
        int requested = 0;
        for (int i = 0; i < read; i++)
        {
            if (messages[i].Event != UserfaultfdAbi.EventPageFault)
            {
                throw new IOException($"userfaultfd sent event 0x{messages[i].Event:x2}, which was not asked for");
            }

            long page = Memory.PageAt(messages[i].Address);
            if (Admit(page, messages[i].ThreadId))
            {
                into[requested++] = new PageFault(page, messages[i].ThreadId);
            }
        }

        Counters.FaultMessages.Add(read);
        return requested;
    }

    private bool Admit(long page, uint thread)
    {
        switch (_ledger.Open(page, thread))
        {
            case FaultOutcome.Request:
                Counters.FaultsRequested.Add(1);
                return true;
            case FaultOutcome.Repeated:
                Counters.FaultsRepeated.Add(1);
                return false;
            default:
                Counters.PrefetchHits.Add(1);
                _ = Userfaultfd.Wake(Memory.AddressAfter(page), GuestPage.Size);
                return false;
        }
    }
}
