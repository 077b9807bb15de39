namespace MigrationD.Guest.Tests.Interop;

/// <summary>
/// The C compiler of this machine says whether the structures and numbers that this project wrote down are the kernel's. What the
/// system's headers are too old to have (UFFDIO_MOVE, PAGEMAP_SCAN) is declared here in C, field by field, as the kernel does.
/// </summary>
public sealed class UserfaultfdAbiTests
{
    // Linux 6.8, include/uapi/linux/userfaultfd.h and fs.h: names, types and order of the fields are the interface.
    private const string NewerThanSomeHeaders = """
        #include <stddef.h>
        #include <linux/ioctl.h>
        #include <linux/types.h>
        #include <linux/userfaultfd.h>
        #include <linux/fs.h>
        #include <fcntl.h>
        #include <poll.h>
        #include <sys/eventfd.h>
        #include <sys/syscall.h>
        #ifndef USERFAULTFD_IOC_NEW
        #define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
        #endif
        #ifndef UFFDIO_MOVE
        struct uffdio_move { __u64 dst; __u64 src; __u64 len; __u64 mode; __s64 move; };
        #define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
        #define UFFD_FEATURE_MOVE (1 << 16)
        #endif
        #ifndef UFFD_FEATURE_POISON
        #define UFFD_FEATURE_POISON (1 << 14)
        #endif
        #ifndef UFFD_FEATURE_WP_ASYNC
        #define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
        #define UFFD_FEATURE_WP_ASYNC (1 << 15)
        #endif
        #ifndef PAGEMAP_SCAN
        struct page_region { __u64 start; __u64 end; __u64 categories; };
        struct pm_scan_arg {
            __u64 size; __u64 flags; __u64 start; __u64 end; __u64 walk_end; __u64 vec; __u64 vec_len; __u64 max_pages;
            __u64 category_inverted; __u64 category_mask; __u64 category_anyof_mask; __u64 return_mask;
        };
        #define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
        #define PM_SCAN_WP_MATCHING (1 << 0)
        #define PM_SCAN_CHECK_WPASYNC (1 << 1)
        #define PAGE_IS_WRITTEN (1 << 1)
        #define PAGE_IS_FILE (1 << 2)
        #define PAGE_IS_PRESENT (1 << 3)
        #define PAGE_IS_SWAPPED (1 << 4)
        #define PAGE_IS_PFNZERO (1 << 5)
        #define PAGE_IS_HUGE (1 << 6)
        #endif

        """;

    [MachineFact(Needs.CCompiler)]
    public void Structures_and_numbers_are_the_kernels()
    {
        var assertions = new CAssertions(NewerThanSomeHeaders);
        assertions.Structure<UserfaultfdAbi.Api>("struct uffdio_api", ("api", "Version"), ("features", "Features"), ("ioctls", "Ioctls"));
        assertions.Structure<UserfaultfdAbi.Range>("struct uffdio_range", ("start", "Start"), ("len", "Length"));
        assertions.Structure<UserfaultfdAbi.Register>(
            "struct uffdio_register", ("range.start", "Start"), ("range.len", "Length"), ("mode", "Mode"), ("ioctls", "Ioctls"));
        assertions.Structure<UserfaultfdAbi.Transfer>(
            "struct uffdio_copy", ("dst", "Destination"), ("src", "Source"), ("len", "Length"), ("mode", "Mode"), ("copy", "Done"));
        assertions.Structure<UserfaultfdAbi.Transfer>(
            "struct uffdio_move", ("dst", "Destination"), ("src", "Source"), ("len", "Length"), ("mode", "Mode"), ("move", "Done"));
        assertions.Structure<UserfaultfdAbi.Zeropage>(
            "struct uffdio_zeropage", ("range.start", "Start"), ("range.len", "Length"), ("mode", "Mode"), ("zeropage", "Done"));
        assertions.Structure<UserfaultfdAbi.Message>(
            "struct uffd_msg",
            ("event", "Event"),
            ("arg.pagefault.flags", "Flags"),
            ("arg.pagefault.address", "Address"),
            ("arg.pagefault.feat.ptid", "ThreadId"));
        assertions.Structure<PagemapAbi.Region>("struct page_region", ("start", "Start"), ("end", "End"), ("categories", "Categories"));
        assertions.Structure<PagemapAbi.ScanArgument>(
            "struct pm_scan_arg",
            ("size", "Size"),
            ("flags", "Flags"),
            ("start", "Start"),
            ("end", "End"),
            ("walk_end", "WalkEnd"),
            ("vec", "Regions"),
            ("vec_len", "RegionCount"),
            ("max_pages", "MaxPages"),
            ("category_inverted", "Inverted"),
            ("category_mask", "All"),
            ("category_anyof_mask", "Any"),
            ("return_mask", "Returned"));
        assertions.Structure<Libc.PolledDescriptor>("struct pollfd", ("fd", "Descriptor"), ("events", "Wanted"), ("revents", "Returned"));

        Number("USERFAULTFD_IOC_NEW", UserfaultfdAbi.IoctlNew);
        Number("UFFDIO_API", UserfaultfdAbi.IoctlApi);
        Number("UFFDIO_REGISTER", UserfaultfdAbi.IoctlRegister);
        Number("UFFDIO_UNREGISTER", UserfaultfdAbi.IoctlUnregister);
        Number("UFFDIO_WAKE", UserfaultfdAbi.IoctlWake);
        Number("UFFDIO_COPY", UserfaultfdAbi.IoctlCopy);
        Number("UFFDIO_ZEROPAGE", UserfaultfdAbi.IoctlZeropage);
        Number("UFFDIO_MOVE", UserfaultfdAbi.IoctlMove);
        Number("UFFD_API", UserfaultfdAbi.ApiVersion);
        Number("UFFD_EVENT_PAGEFAULT", UserfaultfdAbi.EventPageFault);
        Number("UFFDIO_REGISTER_MODE_MISSING", UserfaultfdAbi.RegisterModeMissing);
        Number("UFFDIO_REGISTER_MODE_WP", UserfaultfdAbi.RegisterModeWriteProtect);
        Number("UFFD_FEATURE_THREAD_ID", (ulong)UserfaultfdFeatures.ThreadId);
        Number("UFFD_FEATURE_EXACT_ADDRESS", (ulong)UserfaultfdFeatures.ExactAddress);
        Number("UFFD_FEATURE_WP_UNPOPULATED", (ulong)UserfaultfdFeatures.WpUnpopulated);
        Number("UFFD_FEATURE_POISON", (ulong)UserfaultfdFeatures.Poison);
        Number("UFFD_FEATURE_WP_ASYNC", (ulong)UserfaultfdFeatures.WpAsync);
        Number("UFFD_FEATURE_MOVE", (ulong)UserfaultfdFeatures.Move);
        Number("PM_SCAN_WP_MATCHING", PagemapAbi.WriteProtectMatching);
        Number("PM_SCAN_CHECK_WPASYNC", PagemapAbi.CheckWriteProtectAsync);
        Number("PAGEMAP_SCAN", PagemapAbi.IoctlScan);
        Number("PAGE_IS_WRITTEN", (ulong)PagemapAbi.Categories.Written);
        Number("PAGE_IS_FILE", (ulong)PagemapAbi.Categories.File);
        Number("PAGE_IS_PRESENT", (ulong)PagemapAbi.Categories.Present);
        Number("PAGE_IS_SWAPPED", (ulong)PagemapAbi.Categories.Swapped);
        Number("PAGE_IS_PFNZERO", (ulong)PagemapAbi.Categories.ZeroFrame);
        Number("PAGE_IS_HUGE", (ulong)PagemapAbi.Categories.Huge);
        Number("SYS_userfaultfd", (ulong)Libc.SystemCallUserfaultfd);
        Number("O_RDWR", Libc.OpenReadWrite);
        Number("O_RDONLY", Libc.OpenReadOnly);
        Number("O_NONBLOCK", Libc.NonBlocking);
        Number("EFD_NONBLOCK", Libc.NonBlocking);
        Number("O_CLOEXEC", Libc.CloseOnExec);
        Number("EFD_CLOEXEC", Libc.CloseOnExec);
        Number("POLLIN", (ulong)Libc.PollEvents.In);
        Number("POLLERR", (ulong)Libc.PollEvents.Error);
        Number("POLLHUP", (ulong)Libc.PollEvents.HangUp);
        Number("POLLNVAL", (ulong)Libc.PollEvents.Invalid);

        Assert.Equal("", assertions.Errors());

        void Number(string name, ulong value) => assertions.That($"({name}) == {value}u", name);
    }

    [MachineFact(Needs.CCompiler)]
    public void A_wrong_assertion_would_be_noticed() =>
        Assert.Contains(
            "the canary",
            CCompiler.Errors($"{NewerThanSomeHeaders}_Static_assert(sizeof(struct uffdio_copy) == 41, \"the canary\");\n"),
            StringComparison.Ordinal);
}
