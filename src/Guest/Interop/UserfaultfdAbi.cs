namespace MigrationD.Guest.Interop;

/// <summary>
/// linux/userfaultfd.h as of Linux 6.8, written down here because distributions ship headers older than UFFDIO_MOVE. A test
/// compiles assertions of the same facts against the system's header.
/// </summary>
internal static class UserfaultfdAbi
{
    /// <summary>The only API version there is (UFFD_API).</summary>
    public const ulong ApiVersion = 0xAA;

    /// <summary>UFFD_EVENT_PAGEFAULT.</summary>
    public const byte EventPageFault = 0x12;

    /// <summary>UFFDIO_REGISTER_MODE_MISSING.</summary>
    public const ulong RegisterModeMissing = 1;

    /// <summary>UFFDIO_REGISTER_MODE_WP.</summary>
    public const ulong RegisterModeWriteProtect = 2;

    /// <summary>_IO(0xAA, 0x00), on /dev/userfaultfd; its argument is the flags, by value.</summary>
    public const uint IoctlNew = (Type << IoctlNumber.TypeShift) | 0x00;

    public const uint IoctlApi = ReadWrite | (ApiSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x3F;
    public const uint IoctlRegister = ReadWrite | (RegisterSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x00;
    public const uint IoctlUnregister = IoctlNumber.Read | (RangeSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x01;
    public const uint IoctlWake = IoctlNumber.Read | (RangeSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x02;
    public const uint IoctlCopy = ReadWrite | (TransferSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x03;
    public const uint IoctlZeropage = ReadWrite | (ZeropageSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x04;
    public const uint IoctlMove = ReadWrite | (TransferSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x05;

    /// <summary>Bytes of <see cref="Message"/>.</summary>
    public const int MessageSize = 32;

    private const uint ReadWrite = IoctlNumber.Read | IoctlNumber.Write;
    private const uint Type = 0xAA;
    private const int ApiSize = 24;
    private const int RangeSize = 16;
    private const int RegisterSize = 32;
    private const int TransferSize = 40;
    private const int ZeropageSize = 32;

    /// <summary>struct uffdio_api.</summary>
    [StructLayout(LayoutKind.Sequential, Size = ApiSize)]
    public struct Api
    {
        public ulong Version;
        public ulong Features;
        public ulong Ioctls;
    }

    /// <summary>struct uffdio_range.</summary>
    [StructLayout(LayoutKind.Sequential, Size = RangeSize)]
    public struct Range
    {
        public ulong Start;
        public ulong Length;
    }

    /// <summary>struct uffdio_register.</summary>
    [StructLayout(LayoutKind.Sequential, Size = RegisterSize)]
    public struct Register
    {
        public ulong Start;
        public ulong Length;
        public ulong Mode;
        public ulong Ioctls;
    }

    /// <summary>struct uffdio_copy and struct uffdio_move, which have the same shape.</summary>
    [StructLayout(LayoutKind.Sequential, Size = TransferSize)]
    public struct Transfer
    {
        public ulong Destination;
        public ulong Source;
        public ulong Length;
        public ulong Mode;

        /// <summary>Written by the kernel: bytes done, or -errno.</summary>
        public long Done;
    }

    /// <summary>struct uffdio_zeropage.</summary>
    [StructLayout(LayoutKind.Sequential, Size = ZeropageSize)]
    public struct Zeropage
    {
        public ulong Start;
        public ulong Length;
        public ulong Mode;

        /// <summary>Written by the kernel: bytes done, or -errno.</summary>
        public long Done;
    }

    /// <summary>struct uffd_msg, with the fields of a page fault.</summary>
    [StructLayout(LayoutKind.Sequential, Size = MessageSize)]
    public struct Message
    {
        public byte Event;
        public ulong Flags;
        public ulong Address;
        public uint ThreadId;
    }
}
