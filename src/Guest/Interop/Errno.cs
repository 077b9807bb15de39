namespace MigrationD.Guest.Interop;

/// <summary>Error numbers of Linux on x86-64 that this project tells apart (errno(3), asm-generic/errno-base.h and errno.h).</summary>
public enum Errno
{
    /// <summary>No error.</summary>
    None = 0,

    /// <summary>Operation not permitted.</summary>
    EPERM = 1,

    /// <summary>No such file or directory; UFFDIO_MOVE: a hole in the source.</summary>
    ENOENT = 2,

    /// <summary>No such process.</summary>
    ESRCH = 3,

    /// <summary>Interrupted by a signal.</summary>
    EINTR = 4,

    /// <summary>No such device or address: a node whose driver is not there.</summary>
    ENXIO = 6,

    /// <summary>Argument list too long; KVM: more entries than fit.</summary>
    E2BIG = 7,

    /// <summary>Bad file descriptor.</summary>
    EBADF = 9,

    /// <summary>Try again; UFFDIO_MOVE, COPY and ZEROPAGE: partly done, or the address space is changing.</summary>
    EAGAIN = 11,

    /// <summary>Out of memory.</summary>
    ENOMEM = 12,

    /// <summary>Permission denied.</summary>
    EACCES = 13,

    /// <summary>Bad address.</summary>
    EFAULT = 14,

    /// <summary>Busy; UFFDIO_MOVE: the source page is shared or pinned.</summary>
    EBUSY = 16,

    /// <summary>Already exists; UFFDIO_MOVE, COPY and ZEROPAGE: the destination page is there already.</summary>
    EEXIST = 17,

    /// <summary>No such device.</summary>
    ENODEV = 19,

    /// <summary>Invalid argument.</summary>
    EINVAL = 22,

    /// <summary>Not a device that knows this ioctl.</summary>
    ENOTTY = 25,

    /// <summary>Function not implemented.</summary>
    ENOSYS = 38,

    /// <summary>Operation not supported.</summary>
    EOPNOTSUPP = 95,
}
