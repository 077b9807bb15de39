namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// Where everything of a pulse guest lies in its RAM. Both kinds of guest use it; the workload guest leaves the processor's tables and
/// the code empty.
/// </summary>
/// <remarks>
/// <code>
/// 0          nothing, so that a stray null pointer finds no table
/// 0x1000     GDT      0x2000  IDT      0x3000  TSS of each vCPU
/// 0x4000     PML4     0x5000  PDPT     0x6000  page directories, one page for each GiB of RAM
/// ...        code, 2 pages
///            for each vCPU: its block, its stack for ring 3, its stack for ring 0 (a page each)
///            zipf table (pattern zipf only): 65536 draws of 4 bytes
///            version table: 8 bytes for each page of the working set
///            nothing, never touched
/// ...        working set, up to the end of RAM
/// </code>
/// The working set is at the end, so that it is made of whole 2 MiB blocks when its size is, and so that a guest with more than 3 GiB uses
/// memory on both sides of the hole.
/// All offsets are in bytes from the start of RAM. The guest's linear addresses are these offsets; its physical addresses are what
/// <see cref="AddressMap"/> makes of them.
/// </remarks>
internal sealed class PulseLayout
{
    public const long GdtOffset = 0x1000;
    public const long IdtOffset = 0x2000;
    public const long TssOffset = 0x3000;
    public const long Pml4Offset = 0x4000;
    public const long PdptOffset = 0x5000;
    public const long PageDirectoriesOffset = 0x6000;
    public const int CodePages = 2;
    public const int PagesPerVcpu = 3;
    public const int VersionSize = sizeof(ulong);

    /// <summary>The layout of a guest that nobody has an objection to.</summary>
    /// <exception cref="ArgumentException">The working set does not fit into the memory.</exception>
    public PulseLayout(GuestSpec spec)
        : this(spec.MemoryBytes, spec.Vcpus, spec.WorkingSetBytes, spec.Pattern)
    {
        if (TablesEnd > WorkingSetOffset)
        {
            throw new ArgumentException(
                $"a working set of {spec.WorkingSetBytes} bytes needs {TablesEnd + spec.WorkingSetBytes} bytes of memory, the guest has " +
                $"{spec.MemoryBytes}",
                nameof(spec));
        }
    }

    private PulseLayout(long memoryBytes, int vcpus, long workingSetBytes, WalkPattern pattern)
    {
        Vcpus = vcpus;
        Pages = workingSetBytes / GuestPage.Size;
        CodeOffset = PageDirectoriesOffset + (DivideUp(memoryBytes, 1L << 30) * GuestPage.Size);
        VcpuOffset = CodeOffset + (CodePages * GuestPage.Size);
        ZipfTableOffset = VcpuOffset + (vcpus * PagesPerVcpu * GuestPage.Size);
        VersionTableOffset = ZipfTableOffset + (pattern == WalkPattern.Zipf ? ZipfTable.Bytes : 0);
        TablesEnd = VersionTableOffset + (DivideUp(Pages * VersionSize, GuestPage.Size) * GuestPage.Size);
        WorkingSetOffset = memoryBytes - (Pages * GuestPage.Size);
    }

    public int Vcpus { get; }

    public long Pages { get; }

    /// <summary>Where the version table starts: the version of each page of the working set, 8 bytes each, little endian.</summary>
    public long VersionTableOffset { get; }

    /// <summary>Where the tables end. Nothing is kept between here and the working set.</summary>
    public long TablesEnd { get; }

    /// <summary>Where the working set starts; it ends with RAM.</summary>
    public long WorkingSetOffset { get; }

    public long CodeOffset { get; }

    public long VcpuOffset { get; }

    public long ZipfTableOffset { get; }

    public long PageOffset(long page) => WorkingSetOffset + (page * GuestPage.Size);

    public long VersionOffset(long page) => VersionTableOffset + (page * VersionSize);

    /// <summary>The first page that a vCPU walks.</summary>
    public long ShareStart(int vcpu) => Pages / Vcpus * vcpu;

    /// <summary>How many pages a vCPU walks. The last one takes what division leaves over.</summary>
    public long SharePages(int vcpu) => vcpu == Vcpus - 1 ? Pages - ShareStart(vcpu) : Pages / Vcpus;

    /// <summary>The largest working set, in bytes, that fits into this much memory; 0 when none does.</summary>
    public static long LargestWorkingSet(long memoryBytes, int vcpus, WalkPattern pattern)
    {
        long room = memoryBytes - new PulseLayout(memoryBytes, vcpus, 0, pattern).TablesEnd;
        long pages = Math.Max(0, room) / (GuestPage.Size + VersionSize);

        // The version table takes whole pages.
        while (pages > 0 && new PulseLayout(memoryBytes, vcpus, pages * GuestPage.Size, pattern) is var layout
            && layout.TablesEnd > layout.WorkingSetOffset)
        {
            pages--;
        }

        return pages * GuestPage.Size;
    }

    /// <summary>A vCPU's block (<see cref="VcpuBlock"/>).</summary>
    public long BlockOffset(int vcpu) => VcpuOffset + (vcpu * PagesPerVcpu * GuestPage.Size);

    /// <summary>Where a vCPU's ring 3 stack starts; it grows down.</summary>
    public long UserStackTop(int vcpu) => BlockOffset(vcpu) + (2 * GuestPage.Size);

    /// <summary>Where a vCPU's ring 0 stack starts; it grows down.</summary>
    public long KernelStackTop(int vcpu) => BlockOffset(vcpu) + (3 * GuestPage.Size);

    private static long DivideUp(long value, long by) => (value + by - 1) / by;
}
