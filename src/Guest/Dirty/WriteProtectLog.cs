using MigrationD.Guest.Userfault;

namespace MigrationD.Guest.Dirty;

/// <summary>
/// The dirty log of memory that threads of this process write: pages are write-protected by a userfaultfd, the kernel lifts the protection
/// at the first write by itself (UFFD_FEATURE_WP_ASYNC, Linux 6.7), and PAGEMAP_SCAN tells which pages have lost it and protects them
/// again, each in one step under its page table's lock.
/// </summary>
/// <remarks>
/// <para>Nothing is ever read from the userfaultfd: no thread waits for this process, so the log can neither stop the guest nor the
/// collector.</para>
/// <para>Arming is a harvest whose answer nobody wants. UFFDIO_WRITEPROTECT does the same more slowly for small pages, and leaves markers
/// in the page tables of memory that was never touched, which then can never come as huge pages.</para>
/// </remarks>
internal sealed class WriteProtectLog(GuestMemory memory) : DirtyLog(memory)
{
    // As many as the kernel collects at once (PAGEMAP_WALK_SIZE in fs/proc/task_mmu.c). With room for more it collects several times in one
    // call, and Linux 6.18 then says that the walk ended before regions that it has told: gone on from there, they would count twice.
    private const int RegionCapacity = 512;

    // Unregistering holds the lock of the address space against every fault of the process: 15 µs a MiB, so 1 ms at a time.
    private const long UnregisterBytes = 64L << 20;

    private readonly PagemapAbi.Region[] _regions = new PagemapAbi.Region[RegionCapacity];
    private Userfaultfd? _userfaultfd;
    private Pagemap? _pagemap;

    protected override void Begin()
    {
        try
        {
            _userfaultfd = Userfaultfd.Open(UserfaultfdFeatures.WpAsync);
            _pagemap = Pagemap.TryOpen()
                ?? throw new NotSupportedException("PAGEMAP_SCAN on /proc/self/pagemap is not there: dirty tracking needs Linux 6.7");
            Errno error = _userfaultfd.RegisterForWriteProtection(Memory.Address, Memory.Length);
            if (error == Errno.EBUSY)
            {
                throw new InvalidOperationException(
                    "guest memory is registered with another userfaultfd: pages are still to come from another host. Writes can be logged "
                    + "once all of them are here.");
            }

            if (error != Errno.None)
            {
                throw new SystemCallException($"UFFDIO_REGISTER mode=WP start=0x{Memory.Address:x} length=0x{Memory.Length:x}", error);
            }

            _ = Scan(null, rearm: true);
        }
        catch
        {
            Release();
            throw;
        }
    }

    protected override long Collect(PageSet into, bool rearm) => Scan(into, rearm);

    protected override void End()
    {
        for (long offset = 0; offset < Memory.Length; offset += UnregisterBytes)
        {
            nint start = Memory.Address + (nint)offset;
            long length = Math.Min(UnregisterBytes, Memory.Length - offset);
            Errno error = _userfaultfd!.Unregister(start, length);
            if (error != Errno.None)
            {
                throw new SystemCallException($"UFFDIO_UNREGISTER start=0x{start:x} length=0x{length:x}", error);
            }
        }

        Release();
    }

    // Closing unregisters what there still is; memory that was unmapped before costs nothing.
    protected override void Abandon() => Release();

    private long Scan(PageSet? into, bool rearm)
    {
        long pages = 0;
        nint end = Memory.AddressAfter(Memory.PageCount);
        for (nint at = Memory.Address; at < end;)
        {
            int found = _pagemap!.FindWritten(at, end, rearm, _regions, out nint walked);
            for (int i = 0; i < found; i++)
            {
                long first = Memory.PageAt(_regions[i].Start);
                long count = Memory.PageAt(_regions[i].End) - first;
                into?.Add(first, count);
                pages += count;
            }

            at = walked;
        }

        return pages;
    }

    private void Release()
    {
        _userfaultfd?.Dispose();
        _userfaultfd = null;
        _pagemap?.Dispose();
        _pagemap = null;
    }
}
