using System.Runtime.InteropServices;

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
    public const uint IoctlNew = IoctlNumber.None | (Type << IoctlNumber.TypeShift) | 0x00;

    /// <summary>_IOWR(0xAA, 0x3F, struct uffdio_api).</summary>
    public const uint IoctlApi = ReadWrite | (ApiSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x3F;

    /// <summary>_IOWR(0xAA, 0x00, struct uffdio_register).</summary>
    public const uint IoctlRegister = ReadWrite | (RegisterSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x00;

    /// <summary>_IOR(0xAA, 0x01, struct uffdio_range).</summary>
    public const uint IoctlUnregister = IoctlNumber.Read | (RangeSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x01;

    /// <summary>_IOR(0xAA, 0x02, struct uffdio_range).</summary>
    public const uint IoctlWake = IoctlNumber.Read | (RangeSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x02;

    /// <summary>_IOWR(0xAA, 0x03, struct uffdio_copy).</summary>
    public const uint IoctlCopy = ReadWrite | (TransferSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x03;

    /// <summary>_IOWR(0xAA, 0x04, struct uffdio_zeropage).</summary>
    public const uint IoctlZeropage = ReadWrite | (ZeropageSize << IoctlNumber.SizeShift) | (Type << IoctlNumber.TypeShift) | 0x04;

    /// <summary>_IOWR(0xAA, 0x05, struct uffdio_move).</summary>
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
    [StructLayout(LayoutKind.Explicit, Size = ApiSize)]
    public struct Api
    {
        [FieldOffset(0)]
        public ulong Version;

        [FieldOffset(8)]
        public ulong Features;

        [FieldOffset(16)]
        public ulong Ioctls;
    }

    /// <summary>struct uffdio_range.</summary>
    [StructLayout(LayoutKind.Explicit, Size = RangeSize)]
    public struct Range
    {
        [FieldOffset(0)]
        public ulong Start;

        [FieldOffset(8)]
        public ulong Length;
    }

    /// <summary>struct uffdio_register.</summary>
    [StructLayout(LayoutKind.Explicit, Size = RegisterSize)]
    public struct Register
    {
        [FieldOffset(0)]
        public ulong Start;

        [FieldOffset(8)]
        public ulong Length;

        [FieldOffset(16)]
        public ulong Mode;

        [FieldOffset(24)]
        public ulong Ioctls;
    }

    /// <summary>struct uffdio_copy and struct uffdio_move, which have the same shape.</summary>
    [StructLayout(LayoutKind.Explicit, Size = TransferSize)]
    public struct Transfer
    {
        [FieldOffset(0)]
        public ulong Destination;

        [FieldOffset(8)]
        public ulong Source;

        [FieldOffset(16)]
        public ulong Length;

        [FieldOffset(24)]
        public ulong Mode;

        /// <summary>Written by the kernel: bytes done, or -errno.</summary>
        [FieldOffset(32)]
        public long Done;
    }

    /// <summary>struct uffdio_zeropage.</summary>
    [StructLayout(LayoutKind.Explicit, Size = ZeropageSize)]
    public struct Zeropage
    {
        [FieldOffset(0)]
        public ulong Start;

        [FieldOffset(8)]
        public ulong Length;

        [FieldOffset(16)]
        public ulong Mode;

        /// <summary>Written by the kernel: bytes done, or -errno.</summary>
        [FieldOffset(24)]
        public long Done;
    }

    /// <summary>struct uffd_msg, with the fields of a page fault.</summary>
    [StructLayout(LayoutKind.Explicit, Size = MessageSize)]
    public struct Message
    {
        [FieldOffset(0)]
        public byte Event;

        [FieldOffset(8)]
        public ulong Flags;

        [FieldOffset(16)]
        public ulong Address;

        [FieldOffset(24)]
        public uint ThreadId;
    }
}
