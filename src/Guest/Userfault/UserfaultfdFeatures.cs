namespace MigrationD.Guest.Userfault;

/// <summary>Features that a kernel offers for userfaultfd (UFFD_FEATURE_* of linux/userfaultfd.h).</summary>
[Flags]
public enum UserfaultfdFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Write protection of anonymous memory.</summary>
    PagefaultFlagWp = 1ul << 0,

    /// <summary>Messages about fork.</summary>
    EventFork = 1ul << 1,

    /// <summary>Messages about mremap.</summary>
    EventRemap = 1ul << 2,

    /// <summary>Messages about MADV_REMOVE and MADV_DONTNEED.</summary>
    EventRemove = 1ul << 3,

    /// <summary>Missing pages of hugetlbfs.</summary>
    MissingHugetlbfs = 1ul << 4,

    /// <summary>Missing pages of shared memory.</summary>
    MissingShmem = 1ul << 5,

    /// <summary>Messages about munmap.</summary>
    EventUnmap = 1ul << 6,

    /// <summary>SIGBUS in place of messages.</summary>
    Sigbus = 1ul << 7,

    /// <summary>A message names the thread that touched the page.</summary>
    ThreadId = 1ul << 8,

    /// <summary>Minor faults of hugetlbfs.</summary>
    MinorHugetlbfs = 1ul << 9,

    /// <summary>Minor faults of shared memory.</summary>
    MinorShmem = 1ul << 10,

    /// <summary>A message has the address itself and not that of its page.</summary>
    ExactAddress = 1ul << 11,

    /// <summary>Write protection of hugetlbfs and shared memory.</summary>
    WpHugetlbfsShmem = 1ul << 12,

    /// <summary>Write protection of pages that are not there yet.</summary>
    WpUnpopulated = 1ul << 13,

    /// <summary>UFFDIO_POISON (Linux 6.6).</summary>
    Poison = 1ul << 14,

    /// <summary>Write protection that the kernel lifts by itself, for dirty tracking (Linux 6.7).</summary>
    WpAsync = 1ul << 15,

    /// <summary>UFFDIO_MOVE (Linux 6.8).</summary>
    Move = 1ul << 16,
}
