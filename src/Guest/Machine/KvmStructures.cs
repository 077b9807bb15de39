using System.Runtime.CompilerServices;

namespace MigrationD.Guest.Machine;

// The structures of linux/kvm.h and asm/kvm.h that this project reads or writes field by field, but for registers that programs know as
// well (Platform/Registers.cs); those it only carries from one host to another are byte arrays of the ioctl's size. A test proves sizes and
// offsets against the system's header.

/// <summary>struct kvm_sregs2.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmSpecialRegisters2
{
    public Segment Cs, Ds, Es, Fs, Gs, Ss;
    public Segment Tr, Ldt;
    public DescriptorTable Gdt, Idt;
    public ulong Cr0, Cr2, Cr3, Cr4, Cr8;
    public ulong Efer;
    public ulong ApicBase;
    public ulong Flags;
    public ulong Pdptr0, Pdptr1, Pdptr2, Pdptr3;
}

/// <summary>struct kvm_userspace_memory_region.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmMemoryRegion
{
    /// <summary>KVM_MEM_LOG_DIRTY_PAGES.</summary>
    public const uint LogDirtyPages = 1;

    public uint Slot;
    public uint Flags;
    public ulong GuestPhysicalAddress;
    public ulong MemorySize;
    public ulong UserspaceAddress;
}

/// <summary>struct kvm_dirty_log.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmDirtyLogArgument
{
    public uint Slot;
    public uint Padding;
    public ulong Bitmap;
}

/// <summary>struct kvm_clear_dirty_log.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmClearDirtyLogArgument
{
    public uint Slot;

    /// <summary>A multiple of 64, or up to the end of the slot.</summary>
    public uint PageCount;

    /// <summary>A multiple of 64.</summary>
    public ulong FirstPage;

    public ulong Bitmap;
}

/// <summary>struct kvm_enable_cap.</summary>
[StructLayout(LayoutKind.Sequential, Size = 104)]
internal struct KvmEnableCapability
{
    /// <summary>KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE.</summary>
    public const ulong DirtyLogManualProtect = 1;

    /// <summary>KVM_DIRTY_LOG_INITIALLY_SET.</summary>
    public const ulong DirtyLogInitiallySet = 2;

    public KvmCapability Capability;
    public uint Flags;
    public ulong Argument0;
}

/// <summary>struct kvm_clock_data.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmClockData
{
    public ulong Clock;
    public uint Flags;
    public uint Pad0;
    public ulong Realtime;
    public ulong HostTsc;
    public uint Pad1, Pad2, Pad3, Pad4;
}

/// <summary>struct kvm_msr_entry.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmMsrEntry
{
    public uint Index;
    public uint Reserved;
    public ulong Data;
}

/// <summary>struct kvm_cpuid_entry2.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KvmCpuidEntry
{
    public uint Function;
    public uint Index;
    public uint Flags;
    public uint Eax, Ebx, Ecx, Edx;
    public uint Padding0, Padding1, Padding2;
}

/// <summary>struct kvm_pit_config.</summary>
[InlineArray(16)]
internal struct KvmPitConfig
{
    private uint _element;
}

/// <summary>The head of struct kvm_run, and the part of its union that belongs to an exit of kind IO, MMIO or INTERNAL_ERROR.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2352)]
internal struct KvmRun
{
    [FieldOffset(1)]
    public byte ImmediateExit;

    [FieldOffset(8)]
    public KvmExit ExitReason;

    [FieldOffset(32)]
    public byte IoDirection;

    [FieldOffset(33)]
    public byte IoSize;

    [FieldOffset(34)]
    public ushort IoPort;

    [FieldOffset(36)]
    public uint IoCount;

    [FieldOffset(40)]
    public ulong IoDataOffset;

    [FieldOffset(32)]
    public ulong MmioPhysicalAddress;

    [FieldOffset(40)]
    public ulong MmioData;

    [FieldOffset(48)]
    public uint MmioLength;

    [FieldOffset(52)]
    public byte MmioIsWrite;

    [FieldOffset(32)]
    public uint InternalSuberror;

    [FieldOffset(32)]
    public ulong HardwareReason;
}

/// <summary>KVM_EXIT_*.</summary>
internal enum KvmExit : uint
{
    Unknown = 0,
    Exception = 1,
    Io = 2,
    Hypercall = 3,
    Debug = 4,
    Hlt = 5,
    Mmio = 6,
    IrqWindowOpen = 7,
    Shutdown = 8,
    FailEntry = 9,
    Intr = 10,
    InternalError = 17,
    SystemEvent = 24,
    MemoryFault = 39,
}
