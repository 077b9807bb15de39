namespace MigrationD.Guest.Memory;

/// <summary>
/// The source's view of guest memory: which pages hold something, and which are zeros. Pages that the guest never touched are told
/// by the kernel's page tables and stay untouched; the others are compared with a page of zeros by native code.
/// </summary>
/// <remarks>
/// Used by one thread at a time. All of the memory is here (it is the source's); a guest that writes meanwhile makes an answer old,
/// not wrong: whoever needs an exact answer pauses the guest first or looks at the dirty log afterwards.
/// </remarks>
public sealed unsafe class PageScanner : IDisposable
{
    private const int RegionCapacity = 64;

    private readonly GuestMemory _memory;
    private readonly Pagemap? _pagemap;
    private readonly PagemapAbi.Region[] _regions = new PagemapAbi.Region[RegionCapacity];
    private readonly void* _zeros;

    /// <summary>A scanner over <paramref name="memory"/>, which outlives it.</summary>
    /// <exception cref="SystemCallException">/proc/self/pagemap cannot be opened.</exception>
    public PageScanner(GuestMemory memory)
        : this(memory, Pagemap.TryOpen())
    {
    }

    /// <summary>A scanner that knows no page tables when <paramref name="pagemap"/> is null, as on kernels before 6.7.</summary>
    internal PageScanner(GuestMemory memory, Pagemap? pagemap)
    {
        ArgumentNullException.ThrowIfNull(memory);
        _memory = memory;
        _pagemap = pagemap;
        _zeros = NativeMemory.AlignedAlloc(GuestPage.Size, GuestPage.Size);
        NativeMemory.Clear(_zeros, GuestPage.Size);
    }

    /// <summary>
    /// Splits a range into runs of zero and of other pages, in order, each as long as it can be, and returns how many runs there are.
    /// When <paramref name="into"/> is too small for all of them it is filled, and the runs cover the front of the range: go on after
    /// the last one. It is never too small with one element per page.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or not inside the memory.</exception>
    /// <exception cref="ArgumentException"><paramref name="into"/> is empty.</exception>
    /// <exception cref="SystemCallException">The kernel refused to tell which pages are there.</exception>
    public int Scan(long firstPage, int pageCount, Span<PageRun> into)
    {
        PageBits.CheckRange(firstPage, pageCount, _memory.PageCount);
        if (into.IsEmpty)
        {
            throw new ArgumentException("there is no room for a single run", nameof(into));
        }

        var runs = new RunWriter(into);
        long page = firstPage;
        long end = firstPage + pageCount;
        while (page < end && !runs.IsFull)
        {
            page = ScanUpTo(page, end, ref runs);
        }

        return runs.Close();
    }

    /// <summary>Whether a block of 2 MiB is one huge page; false where the kernel does not tell.</summary>
    public bool IsHuge(long block) => _pagemap?.IsHuge(_memory.AddressAfter(block * GuestPage.PerBlock)) ?? false;

    /// <summary>Frees what the scanner owns; not the memory.</summary>
    public void Dispose()
    {
        _pagemap?.Dispose();
        NativeMemory.AlignedFree(_zeros);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the page of zeros of a scanner that nobody disposed.</summary>
    ~PageScanner() => NativeMemory.AlignedFree(_zeros);

    private long ScanUpTo(long page, long end, ref RunWriter runs)
    {
        if (_pagemap is null)
        {
            Compare(page, end, ref runs);
            return end;
        }

        int found = _pagemap.FindPopulated(_memory.AddressAfter(page), _memory.AddressAfter(end), _regions, out nint walked);
        for (int i = 0; i < found; i++)
        {
            long start = _memory.PageAt(_regions[i].Start);
            long stop = _memory.PageAt(_regions[i].End);
            runs.Append(page, start, isZero: true);
            Compare(start, stop, ref runs);
            page = stop;
        }

        long reached = _memory.PageAt((ulong)walked);
        runs.Append(page, reached, isZero: true);
        return reached;
    }

    private void Compare(long page, long end, ref RunWriter runs)
    {
        for (; page < end && !runs.IsFull; page++)
        {
            bool isZero = NativeCopy.AreEqual(_memory.Locate(page << GuestPage.Shift, GuestPage.Size), _zeros, GuestPage.Size);
            runs.Append(page, page + 1, isZero);
        }
    }

    /// <summary>Joins pages to runs, and knows when the last run that fits is complete.</summary>
    private ref struct RunWriter(Span<PageRun> into)
    {
        private readonly Span<PageRun> _into = into;
        private int _written;
        private long _first;
        private long _end;
        private bool _isZero;

        public bool IsFull => _written == _into.Length;

        public void Append(long first, long end, bool isZero)
        {
            if (first >= end || IsFull)
            {
                return;
            }

            if (_end > _first && isZero == _isZero)
            {
                _end = end;
                return;
            }

            Flush();
            (_first, _end, _isZero) = (first, end, isZero);
        }

        public int Close()
        {
            Flush();
            return _written;
        }

        private void Flush()
        {
            if (_end > _first && !IsFull)
            {
                _into[_written++] = new PageRun(_first, (int)(_end - _first), _isZero);
                _end = _first;
            }
        }
    }
}

/// <summary>Pages that follow each other and are alike.</summary>
/// <param name="FirstPage">The first of them.</param>
/// <param name="PageCount">How many; at least 1.</param>
/// <param name="IsZero">Whether every one of them holds zeros only, so that none has to travel.</param>
public readonly record struct PageRun(long FirstPage, int PageCount, bool IsZero);
