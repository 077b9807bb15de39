using System.Diagnostics;

namespace MigrationD.Guest.Userfault;

/// <summary>
/// Places pages that one thread receives, in three steps: <see cref="Stage"/> says where to receive them, <see cref="Place"/> puts
/// them to their addresses in one step that no reader can see half done, and <see cref="Refill"/>, at a moment when nobody waits,
/// brings fresh pages into the holes that this left in the staging.
/// </summary>
/// <remarks>
/// Used by one thread only, and shares its staging with no other. Several placers may place the same page: the kernel lets one win, the
/// others count it as redundant. Nothing here allocates managed memory after the first whole block.
/// </remarks>
public sealed class PagePlacer : IPagePlacer
{
    /// <summary>
    /// How often a page that answers EAGAIN without progress is tried again before it is copied: compaction holds a page for some
    /// microseconds, and each call takes about one.
    /// </summary>
    private const int MaximumRetries = 64;

    /// <summary>Pages placed in one call (8 MiB): the call holds the lock that mmap(2) in any thread waits for.</summary>
    private const long PagesPerCall = 2048;

    private readonly IncomingMemory _incoming;
    private readonly GuestMemory _memory;
    private readonly ReceivedPages _received;
    private readonly Userfaultfd _userfaultfd;
    private readonly PlacementCounters _counters;
    private readonly StagingRegion _small;

    private StagingRegion? _block;
    private bool _blockIsPopulated;
    private bool _blockIsHuge;

    private int _smallUsed;

    private StagingRegion? _staged;
    private int _stagedOffset;
    private long _stagedFirst;
    private int _stagedCount;

    internal PagePlacer(IncomingMemory incoming, int singlePageSlots)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(singlePageSlots);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(singlePageSlots, int.MaxValue / GuestPage.Size);
        _incoming = incoming;
        _memory = incoming.Memory;
        _received = incoming.Received;
        _userfaultfd = incoming.Userfaultfd;
        _counters = incoming.Counters;

        // Never less than a block: a run of up to 511 pages is staged here too.
        _small = StagingRegion.OfSmallPages(Math.Max(singlePageSlots, GuestPage.PerBlock));
        try
        {
            _small.Populate(0, _small.Length);
        }
        catch
        {
            _small.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Where to receive the content of these pages: <paramref name="pageCount"/> * 4096 bytes, to be filled wholly. A whole aligned block
    /// is staged in a huge page, anything else in small pages. Forgets what was staged and not placed.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The pages are not 1 to 512 pages inside one block of 2 MiB of the memory.</exception>
    /// <exception cref="SystemCallException">The host has no memory left.</exception>
    public Span<byte> Stage(long firstPage, int pageCount)
    {
        PageBits.CheckRange(firstPage, pageCount, _memory.PageCount);
        int inBlock = (int)(firstPage % GuestPage.PerBlock);
        if (pageCount > GuestPage.PerBlock - inBlock)
        {
            throw new ArgumentOutOfRangeException(
                nameof(pageCount),
                pageCount,
                $"{pageCount} pages from page {firstPage} on are not inside one block of {GuestPage.PerBlock} pages");
        }

        if (pageCount == GuestPage.PerBlock)
        {
            _staged = PrepareBlock();
            _stagedOffset = 0;
        }
        else
        {
            if (_smallUsed + (pageCount * GuestPage.Size) > _small.Length)
            {
                RefillSmall();
            }

            _staged = _small;
            _stagedOffset = _smallUsed;
        }

        _stagedFirst = firstPage;
        _stagedCount = pageCount;
        return _staged.Slice(_stagedOffset, pageCount * GuestPage.Size);
    }

    /// <summary>
    /// Puts what was received into the memory that <see cref="Stage"/> returned to its address, wakes who waits for it, and returns how
    /// many of the pages were not there before. The staged memory must not be touched any more.
    /// </summary>
    /// <exception cref="InvalidOperationException">Other pages are staged, or none.</exception>
    /// <exception cref="SystemCallException">The kernel refused. Pages that are not placed are still missing.</exception>
    public int Place(long firstPage, int pageCount, PagePath path) => PlaceStaged(firstPage, pageCount, path, replaces: false);

    /// <summary>
    /// Places as <see cref="Place"/> does, and pages that are there already get the new content too. Before the guest has run: a reader
    /// could see a page half done.
    /// </summary>
    /// <inheritdoc cref="Place" path="/exception"/>
    public unsafe void Replace(long firstPage, int pageCount, PagePath path)
    {
        byte* staged = (byte*)Staged(firstPage, pageCount).Address + _stagedOffset;
        long end = firstPage + pageCount;
        long replaced = 0;
        for (long page = _received.NextReceived(firstPage); page < end; page = _received.NextReceived(page))
        {
            int run = (int)(Math.Min(_received.NextMissing(page), end) - page);
            NativeCopy.Copy(
                _memory.Locate(page << GuestPage.Shift, run * GuestPage.Size), staged + ((page - firstPage) << GuestPage.Shift),
                run * GuestPage.Size);
            replaced += run;
            page += run;
        }

        _counters.PagesReplaced.Add(replaced);
        if (replaced == pageCount)
        {
            _staged = null;
            return;
        }

        _ = PlaceStaged(firstPage, pageCount, path, replaces: true);
    }

    /// <summary>Makes zeros also of pages that are there already; else as <see cref="PlaceZeros"/>. Before the guest has run.</summary>
    /// <inheritdoc cref="PlaceZeros" path="/exception"/>
    public void ReplaceByZeros(long firstPage, long pageCount, PagePath path)
    {
        _ = _incoming.Forget(firstPage, pageCount);
        _ = PlaceZeros(firstPage, pageCount, path);
    }

    /// <summary>
    /// Makes pages zeros that have no content to receive, wakes who waits for them, and returns how many were not there before.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the memory.</exception>
    /// <exception cref="SystemCallException">The kernel refused. Pages that are not placed are still missing.</exception>
    public long PlaceZeros(long firstPage, long pageCount, PagePath path)
    {
        PageBits.CheckRange(firstPage, pageCount, _memory.PageCount);
        return PlaceRuns(new Batch(firstPage, pageCount, Source: 0, path, Stopwatch.GetTimestamp()), move: false);
    }

    /// <summary>
    /// Brings fresh pages into the staging that has been used. To be called when nobody waits for this thread's answer; where it was not
    /// called, <see cref="Stage"/> does the same when it has to.
    /// </summary>
    /// <exception cref="SystemCallException">The host has no memory left.</exception>
    public void Refill()
    {
        _staged = null;
        RefillSmall();
        if (_block is not null)
        {
            _ = PrepareBlock();
        }
    }

    /// <summary>Unmaps the staging.</summary>
    public void Dispose()
    {
        _staged = null;
        _small.Dispose();
        _block?.Dispose();
    }

    /// <summary>The staging of whole blocks, populated with a huge page when the host has one to give.</summary>
    internal StagingRegion PrepareBlock()
    {
        _block ??= StagingRegion.OfOneBlock();
        if (!_blockIsPopulated)
        {
            // The kernel gives a huge page to an empty block only, and a move that was cut short leaves some pages.
            _block.Clear();
            _block.Populate(0, _block.Length);
            _blockIsPopulated = true;
            _blockIsHuge = _incoming.Pagemap?.IsHuge(_block.Address) ?? false;
        }

        return _block;
    }

    /// <summary>Where these pages are staged.</summary>
    /// <exception cref="InvalidOperationException">Other pages are staged, or none.</exception>
    private StagingRegion Staged(long firstPage, int pageCount) =>
        _staged is null
            ? throw new InvalidOperationException($"pages {firstPage} to {firstPage + pageCount - 1} are not staged")
        : firstPage != _stagedFirst || pageCount != _stagedCount
            ? throw new InvalidOperationException(
                $"pages {firstPage} to {firstPage + pageCount - 1} are not what is staged: "
                + $"{_stagedCount} pages from page {_stagedFirst} on")
        : _staged;

    private void RefillSmall()
    {
        // Copying leaves no holes.
        if (_smallUsed > 0 && _incoming.Placement == Placement.Move)
        {
            _small.Populate(0, _smallUsed);
        }

        _smallUsed = 0;
    }

    private int PlaceStaged(long firstPage, int pageCount, PagePath path, bool replaces)
    {
        StagingRegion staged = Staged(firstPage, pageCount);
        var pages = new Batch(firstPage, pageCount, staged.Address + _stagedOffset, path, Stopwatch.GetTimestamp(), replaces);
        _staged = null;
        if (staged == _small)
        {
            _smallUsed += pageCount * GuestPage.Size;
        }

        int placed = (int)PlaceRuns(pages, _incoming.Placement == Placement.Move && (staged == _small || MayMoveBlock(firstPage)));
        if (placed > 0)
        {
            _incoming.Blocks.MarkContent(firstPage, path);
        }

        return placed;
    }

    private bool MayMoveBlock(long firstPage)
    {
        if (_blockIsHuge && IsTouched(firstPage))
        {
            // A huge page moves whole only to where there is nothing yet, not even the page table that a fault leaves behind. Splitting
            // it costs more than copying does. What was copied stays in the staging, whole, for the next block.
            _counters.BlockSplitsAvoided.Add(1);
            return false;
        }

        _blockIsPopulated = false;
        return true;
    }

    private bool IsTouched(long block) =>
        _received.CountIn(block, GuestPage.PerBlock) > 0 || _incoming.AnyFaultOpen(block, GuestPage.PerBlock);

    /// <summary>Places what is missing of some pages, run by run, and goes on behind what the kernel stops at.</summary>
    private long PlaceRuns(in Batch pages, bool move)
    {
        long placed = 0;
        int retries = 0;
        for (long page = SkipReceived(pages, pages.First); page < pages.End; page = SkipReceived(pages, page))
        {
            long run = RunFrom(page, Math.Min(pages.End, page + PagesPerCall));
            Errno error = PlaceRun(pages, page, run, move, out long done);
            if (done > 0)
            {
                placed += Enter(pages, page, done);
                page += done;
                retries = 0;
            }
            else if (error == Errno.EEXIST)
            {
                placed += EnterPresent(pages, page++);
            }
            else if (error == Errno.EAGAIN && retries < MaximumRetries)
            {
                retries++;
            }
            else if (move && (error is Errno.EBUSY or Errno.EAGAIN))
            {
                _counters.BusyFallbacks.Add(1);
                move = false;
                retries = 0;
            }
            else
            {
                string call = pages.AreZeros ? "UFFDIO_ZEROPAGE" : move ? "UFFDIO_MOVE" : "UFFDIO_COPY";
                throw new SystemCallException(
                    $"{call} dst=0x{_memory.AddressAfter(page):x} src=0x{pages.SourceOf(page):x} len=0x{run << GuestPage.Shift:x}", error);
            }

            if (error == Errno.EAGAIN)
            {
                _counters.Retries.Add(1);
            }
        }

        return placed;
    }

    private Errno PlaceRun(in Batch pages, long page, long run, bool move, out long done)
    {
        _counters.Ioctls.Add(1);
        nint to = _memory.AddressAfter(page);
        long length = run << GuestPage.Shift;
        long bytes;
        Errno error = pages.AreZeros ? _userfaultfd.Zeropage(to, length, out bytes)
            : move ? _userfaultfd.Move(to, pages.SourceOf(page), length, out bytes)
            : _userfaultfd.Copy(to, pages.SourceOf(page), length, out bytes);
        done = bytes >> GuestPage.Shift;
        if (done == 0)
        {
            return error;
        }

        if (pages.AreZeros)
        {
            _incoming.Blocks.MarkZeros(page, done);
            _counters.PagesZeroUrgent.Add(pages.Path == PagePath.Urgent ? done : 0);
        }
        else if (!move)
        {
            _counters.Copies.Add(done);
        }
        else if (done == GuestPage.PerBlock && IsHugeNow(page))
        {
            _counters.Moves2M.Add(1);
        }
        else
        {
            _counters.Moves4K.Add(done);
        }

        return error;
    }

    // The call succeeds in the same way when it had to split the huge page; only the page tables tell. One call for 512 pages.
    private bool IsHugeNow(long page) => _blockIsHuge && (_incoming.Pagemap?.IsHuge(_memory.AddressAfter(page)) ?? false);

    /// <summary>The first page from here on that the bitmap does not have; what it has is redundant.</summary>
    private long SkipReceived(in Batch pages, long page)
    {
        long next = page < pages.End ? Math.Min(_received.NextMissing(page), pages.End) : pages.End;
        if (next > page && !pages.Replace)
        {
            _counters.PagesRedundant.Add(next - page);
        }

        return next;
    }

    /// <summary>Counts the pages from here on that the bitmap does not have; at least 1, also when this one comes at this moment.</summary>
    private long RunFrom(long page, long end) => Math.Min(_received.NextReceived(page + 1), end) - page;

    /// <summary>
    /// Enters a page that is there, as the kernel says (EEXIST), and wakes who waits for it: waking is harmless, a lost wake is not.
    /// </summary>
    /// <remarks>
    /// Mostly another placer was faster and is about to enter it, so that it does not matter who does. But Linux 6.18 also moves pages and
    /// does not say so: when a fault puts a page into a block while a whole huge page is being moved there, the call reports a part of what
    /// it has moved, and the rest is found to be there by the next call. Nobody else would enter those, and the migration would not end.
    /// </remarks>
    private long EnterPresent(in Batch pages, long page)
    {
        long newly = Enter(pages, page, 1);
        _ = _userfaultfd.Wake(_memory.AddressAfter(page), GuestPage.Size);
        return newly;
    }

    /// <summary>
    /// Enters what this placer has just placed, at once: if a later run fails, these pages are there all the same. What another has entered
    /// before is redundant.
    /// </summary>
    private long Enter(in Batch pages, long page, long count)
    {
        PlacementCounter counter = pages.AreZeros ? _counters.PagesZero
            : pages.Path == PagePath.Urgent ? _counters.PagesUrgent
            : _counters.PagesPush;
        long newly = _incoming.MarkPlaced(page, count, pages.ArrivedAt, counter);
        _counters.PagesRedundant.Add(count - newly);
        return newly;
    }

    /// <summary>
    /// Pages that are being placed, and when their bytes had come. Their content is at the source, which is 0 of pages of zeros. With
    /// <paramref name="Replace"/> what is there already has been given the new content too, and is not redundant.
    /// </summary>
    private readonly record struct Batch(long First, long Count, nint Source, PagePath Path, long ArrivedAt, bool Replace = false)
    {
        public long End => First + Count;

        public bool AreZeros => Source == 0;

        public nint SourceOf(long page) => AreZeros ? 0 : Source + ((nint)(page - First) << GuestPage.Shift);
    }
}

/// <summary>How a page that was received gets to its address.</summary>
public enum Placement
{
    /// <summary>
    /// The page that was received into is itself moved there (UFFDIO_MOVE, Linux 6.8); copied only where the kernel refuses.
    /// </summary>
    Move,

    /// <summary>Its content is copied into a new page (UFFDIO_COPY).</summary>
    Copy,
}

/// <summary>Which way a page came.</summary>
public enum PagePath
{
    /// <summary>Asked for, because the guest waits for it.</summary>
    Urgent,

    /// <summary>Sent by the source of its own accord.</summary>
    Push,
}
