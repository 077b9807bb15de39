namespace MigrationD.Guest.Interop;

/// <summary>PAGEMAP_SCAN of linux/fs.h (Linux 6.7), on /proc/self/pagemap.</summary>
internal static class PagemapAbi
{
    /// <summary>_IOWR('f', 16, struct pm_scan_arg).</summary>
    public const uint IoctlScan =
        IoctlNumber.Read | IoctlNumber.Write | (ScanSize << IoctlNumber.SizeShift) | ((uint)'f' << IoctlNumber.TypeShift) | 16;

    /// <summary>PM_SCAN_WP_MATCHING: write-protects what it finds, each page in one step with finding it.</summary>
    public const ulong WriteProtectMatching = 1 << 0;

    /// <summary>PM_SCAN_CHECK_WPASYNC: fails with EPERM where writes are not tracked.</summary>
    public const ulong CheckWriteProtectAsync = 1 << 1;

    private const int ScanSize = 96;
    private const int RegionSize = 24;

    /// <summary>PAGE_IS_* of linux/fs.h.</summary>
    [Flags]
    public enum Categories : ulong
    {
        None = 0,
        Written = 1 << 1,
        File = 1 << 2,
        Present = 1 << 3,
        Swapped = 1 << 4,
        ZeroFrame = 1 << 5,
        Huge = 1 << 6,
    }

    /// <summary>struct page_region: [Start, End) in addresses.</summary>
    [StructLayout(LayoutKind.Sequential, Size = RegionSize)]
    public struct Region
    {
        public ulong Start;
        public ulong End;
        public Categories Categories;
    }

    /// <summary>struct pm_scan_arg.</summary>
    [StructLayout(LayoutKind.Sequential, Size = ScanSize)]
    public struct ScanArgument
    {
        public ulong Size;
        public ulong Flags;
        public ulong Start;
        public ulong End;

        /// <summary>Written by the kernel: where the walk ended.</summary>
        public ulong WalkEnd;

        public ulong Regions;
        public ulong RegionCount;
        public ulong MaxPages;
        public Categories Inverted;
        public Categories All;
        public Categories Any;
        public Categories Returned;
    }
}
