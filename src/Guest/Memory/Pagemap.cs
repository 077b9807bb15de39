using MigrationD.Guest.Interop;

namespace MigrationD.Guest.Memory;

/// <summary>Asks the kernel which pages of this process are there, without touching them (PAGEMAP_SCAN, Linux 6.7).</summary>
/// <remarks>Any number of threads may ask at the same time.</remarks>
internal sealed unsafe class Pagemap : IDisposable
{
    private const string Path = "/proc/self/pagemap";

    private readonly DescriptorHandle _descriptor;

    private Pagemap(DescriptorHandle descriptor) => _descriptor = descriptor;

    /// <summary>Opens this process's pagemap, or returns null on a kernel that cannot scan it.</summary>
    /// <exception cref="SystemCallException">/proc/self/pagemap cannot be opened.</exception>
    public static Pagemap? TryOpen()
    {
        int descriptor = Libc.OpenDescriptor(Path, Libc.OpenReadOnly | Libc.CloseOnExec);
        if (descriptor < 0)
        {
            throw SystemCallException.FromLast($"open {Path}");
        }

        var pagemap = new Pagemap(new DescriptorHandle(descriptor));
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
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public int FindPopulated(nint start, nint end, Span<PagemapAbi.Region> into, out nint walked)
    {
        fixed (PagemapAbi.Region* regions = into)
        {
            var argument = Over(start, end);
            argument.Regions = (ulong)regions;
            argument.RegionCount = (ulong)into.Length;
            argument.Inverted = PagemapAbi.Categories.ZeroFrame;
            argument.All = PagemapAbi.Categories.ZeroFrame;
            argument.Any = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;
            argument.Returned = PagemapAbi.Categories.Present;
            return Scan(ref argument, out walked);
        }
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
        fixed (PagemapAbi.Region* regions = into)
        {
            var argument = Over(start, end);
            argument.Flags = PagemapAbi.CheckWriteProtectAsync | (protect ? PagemapAbi.WriteProtectMatching : 0);
            argument.Regions = (ulong)regions;
            argument.RegionCount = (ulong)into.Length;
            argument.All = PagemapAbi.Categories.Written;

            // What was never touched counts as written too. Protecting it would fill page tables with markers, and memory with page tables,
            // and the first touch could not bring a huge page any more. The shared page of zeros has to be told: the kernel may put it in
            // the place of a page that was written with zeros.
            argument.Any = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;
            argument.Returned = PagemapAbi.Categories.Written;
            return Scan(ref argument, out walked);
        }
    }

    /// <summary>Whether any page of a range has been touched, be it only by a read that mapped the shared page of zeros.</summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public bool AnyTouched(nint start, nint end)
    {
        PagemapAbi.Region region;
        var argument = Over(start, end);
        argument.Regions = (ulong)&region;
        argument.RegionCount = 1;
        argument.MaxPages = 1;
        argument.Any = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;
        argument.Returned = PagemapAbi.Categories.Present;
        return Scan(ref argument, out _) > 0;
    }

    /// <summary>The address of the first page in a range that is neither present nor swapped, or -1 when there is none.</summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public nint FirstMissing(nint start, nint end)
    {
        PagemapAbi.Region region;
        var argument = Over(start, end);
        argument.Regions = (ulong)&region;
        argument.RegionCount = 1;
        argument.MaxPages = 1;
        argument.Inverted = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;
        argument.All = PagemapAbi.Categories.Present | PagemapAbi.Categories.Swapped;
        argument.Returned = PagemapAbi.Categories.Present;
        return Scan(ref argument, out _) > 0 ? (nint)region.Start : -1;
    }

    /// <summary>Whether the block of 2 MiB at this address is one transparent huge page.</summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public bool IsHuge(nint block)
    {
        PagemapAbi.Region region;
        var argument = Over(block, block + GuestPage.BlockSize);
        argument.Regions = (ulong)&region;
        argument.RegionCount = 1;
        argument.All = PagemapAbi.Categories.Huge | PagemapAbi.Categories.Present;
        argument.Returned = PagemapAbi.Categories.Present;
        return Scan(ref argument, out _) > 0 && region.End - region.Start == GuestPage.BlockSize;
    }

    /// <summary>Closes the pagemap.</summary>
    public void Dispose() => _descriptor.Dispose();

    private static PagemapAbi.ScanArgument Over(nint start, nint end) => new()
    {
        Size = (ulong)sizeof(PagemapAbi.ScanArgument),
        Start = (ulong)start,
        End = (ulong)end,
    };

    // An older kernel does not know the ioctl (ENOTTY), or knows a smaller argument (EINVAL). The page asked about is this stack.
    private bool CanScan()
    {
        PagemapAbi.Region region;
        nint here = (nint)(&region) & ~(nint)(GuestPage.Size - 1);
        var argument = Over(here, here + GuestPage.Size);
        argument.Regions = (ulong)&region;
        argument.RegionCount = 1;
        argument.All = PagemapAbi.Categories.Present;
        argument.Returned = PagemapAbi.Categories.Present;
        return Libc.Ioctl(_descriptor, PagemapAbi.IoctlScan, &argument) >= 0;
    }

    private int Scan(ref PagemapAbi.ScanArgument argument, out nint walked)
    {
        fixed (PagemapAbi.ScanArgument* pointer = &argument)
        {
            int found;
            do
            {
                found = Libc.Ioctl(_descriptor, PagemapAbi.IoctlScan, pointer);
            }
            while (found < 0 && SystemCallException.LastError == Errno.EINTR);

            if (found < 0)
            {
                throw SystemCallException.FromLast($"PAGEMAP_SCAN start=0x{argument.Start:x} end=0x{argument.End:x}");
            }

            walked = (nint)argument.WalkEnd;
            return found;
        }
    }
}
