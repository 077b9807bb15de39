using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Memory;

/// <summary>Asks the kernel which pages of this process are there, without touching them (PAGEMAP_SCAN, Linux 6.7).</summary>
/// <remarks>Any number of threads may ask at the same time.</remarks>
internal sealed unsafe class Pagemap : IDisposable
{
    private const string Path = "/proc/self/pagemap";
    private const PagemapAbi.Categories Touched = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;

    private readonly SafeFileHandle _descriptor;

    private Pagemap(SafeFileHandle descriptor) => _descriptor = descriptor;

    /// <summary>Opens this process's pagemap, or returns null on a kernel that cannot scan it.</summary>
    /// <exception cref="SystemCallException">/proc/self/pagemap cannot be opened.</exception>
    public static Pagemap? TryOpen()
    {
        int descriptor = Libc.OpenDescriptor(Path, Libc.OpenReadOnly | Libc.CloseOnExec);
        if (descriptor < 0)
        {
            throw SystemCallException.FromLast($"open {Path}");
        }

        var pagemap = new Pagemap(new SafeFileHandle(descriptor, ownsHandle: true));
        if (pagemap.CanScan())
        {
            return pagemap;
        }

        pagemap.Dispose();
        return null;
    }

    /// <summary>
    /// Ranges inside [<paramref name="start"/>, <paramref name="end"/>) whose pages hold something: present or swapped, and not the
    /// shared page of zeros. Returns how many it wrote; <paramref name="walked"/> is where the walk ended, which is before
    /// <paramref name="end"/> only when <paramref name="into"/> was full.
    /// </summary>
    public int FindPopulated(nint start, nint end, Span<PagemapAbi.Region> into, out nint walked)
    {
        var pages = new PagemapAbi.ScanArgument
        {
            Inverted = PagemapAbi.Categories.ZeroFrame,
            All = PagemapAbi.Categories.ZeroFrame,
            Any = Touched,
            Returned = PagemapAbi.Categories.Present,
        };
        return Scan(start, end, pages, into, out walked);
    }

    /// <summary>
    /// Ranges of pages that were written since they were last write-protected by a userfaultfd with WP_ASYNC, or never were; with
    /// <paramref name="protect"/> they are protected again, each page in one step with being found. Returns how many it wrote;
    /// <paramref name="walked"/> is where the walk ended, which is before <paramref name="end"/> only when <paramref name="into"/> was
    /// full.
    /// </summary>
    /// <exception cref="SystemCallException">The kernel refused; EPERM where the range is not registered for that.</exception>
    public int FindWritten(nint start, nint end, bool protect, Span<PagemapAbi.Region> into, out nint walked)
    {
        // What was never touched counts as written too. Protecting it would fill page tables with markers, and memory with page tables,
        // and the first touch could not bring a huge page any more. The shared page of zeros has to be told: the kernel may put it in
        // the place of a page that was written with zeros.
        var pages = new PagemapAbi.ScanArgument
        {
            Flags = PagemapAbi.CheckWriteProtectAsync | (protect ? PagemapAbi.WriteProtectMatching : 0),
            All = PagemapAbi.Categories.Written,
            Any = Touched,
            Returned = PagemapAbi.Categories.Written,
        };
        return Scan(start, end, pages, into, out walked);
    }

    /// <summary>Whether any page of a range has been touched, be it only by a read that mapped the shared page of zeros.</summary>
    public bool AnyTouched(nint start, nint end)
    {
        var pages = new PagemapAbi.ScanArgument { MaxPages = 1, Any = Touched, Returned = PagemapAbi.Categories.Present };
        return TryFind(start, end, pages, out _);
    }

    /// <summary>The address of the first page in a range that is neither present nor swapped, or -1 when there is none.</summary>
    public nint FirstMissing(nint start, nint end)
    {
        var pages = new PagemapAbi.ScanArgument
        {
            MaxPages = 1,
            Inverted = Touched,
            All = Touched,
            Returned = PagemapAbi.Categories.Present,
        };
        return TryFind(start, end, pages, out PagemapAbi.Region first) ? (nint)first.Start : -1;
    }

    /// <summary>Whether the block of 2 MiB at this address is one transparent huge page.</summary>
    public bool IsHuge(nint block)
    {
        var pages = new PagemapAbi.ScanArgument
        {
            All = PagemapAbi.Categories.Huge | PagemapAbi.Categories.Present,
            Returned = PagemapAbi.Categories.Present,
        };
        return TryFind(block, block + GuestPage.BlockSize, pages, out PagemapAbi.Region found)
            && found.End - found.Start == GuestPage.BlockSize;
    }

    public void Dispose() => _descriptor.Dispose();

    // An older kernel does not know the ioctl (ENOTTY), or knows a smaller argument (EINVAL). The page asked about is this stack.
    private bool CanScan()
    {
        PagemapAbi.Region region;
        nint here = (nint)(&region) & ~(nint)(GuestPage.Size - 1);
        var pages = new PagemapAbi.ScanArgument { All = PagemapAbi.Categories.Present, Returned = PagemapAbi.Categories.Present };
        return TryScan(here, here + GuestPage.Size, ref pages, new Span<PagemapAbi.Region>(&region, 1)) >= 0;
    }

    private bool TryFind(nint start, nint end, PagemapAbi.ScanArgument pages, out PagemapAbi.Region first)
    {
        Span<PagemapAbi.Region> region = stackalloc PagemapAbi.Region[1];
        bool found = Scan(start, end, pages, region, out _) > 0;
        first = region[0];
        return found;
    }

    private int Scan(nint start, nint end, PagemapAbi.ScanArgument pages, Span<PagemapAbi.Region> into, out nint walked)
    {
        int found = TryScan(start, end, ref pages, into);
        walked = (nint)pages.WalkEnd;
        return found >= 0 ? found : throw SystemCallException.FromLast($"PAGEMAP_SCAN start=0x{start:x} end=0x{end:x}");
    }

    private int TryScan(nint start, nint end, ref PagemapAbi.ScanArgument pages, Span<PagemapAbi.Region> into)
    {
        fixed (PagemapAbi.ScanArgument* argument = &pages)
        fixed (PagemapAbi.Region* regions = into)
        {
            argument->Size = (ulong)sizeof(PagemapAbi.ScanArgument);
            argument->Start = (ulong)start;
            argument->End = (ulong)end;
            argument->Regions = (ulong)regions;
            argument->RegionCount = (ulong)into.Length;
            int found;
            do
            {
                found = Libc.Ioctl(_descriptor, PagemapAbi.IoctlScan, argument);
            }
            while (found < 0 && SystemCallException.LastError == Errno.EINTR);

            return found;
        }
    }
}
