namespace MigrationD.Guest.Platform;

// Registers of an x86-64 processor (AMD64 manual, volume 2, sections 3 and 4), laid out as KVM lays them out, so that they need no
// translation there; a test proves it.

/// <summary>The general registers, as struct kvm_regs has them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GeneralRegisters
{
    public ulong Rax, Rbx, Rcx, Rdx;
    public ulong Rsi, Rdi, Rsp, Rbp;
    public ulong R8, R9, R10, R11;
    public ulong R12, R13, R14, R15;
    public ulong Rip, Rflags;
}

/// <summary>A segment register with what is behind its selector, as struct kvm_segment has it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Segment
{
    public ulong Base;
    public uint Limit;
    public ushort Selector;
    public byte Type;
    public byte Present, Dpl, Db, S, L, G, Avl;
    public byte Unusable;
    public byte Padding;
}

/// <summary>Where a descriptor table is, as struct kvm_dtable has it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DescriptorTable
{
    public ulong Base;
    public ushort Limit;
    public ushort Padding0, Padding1, Padding2;
}

/// <summary>What a vCPU of a new guest has in its registers before the first instruction of its program.</summary>
internal sealed record FirstInstruction
{
    public required GeneralRegisters General { get; init; }
    public required Segment Code { get; init; }

    /// <summary>All other segments but the task.</summary>
    public required Segment Data { get; init; }
    public required Segment Task { get; init; }
    public required DescriptorTable Gdt { get; init; }
    public required DescriptorTable Idt { get; init; }
    public required ulong Cr0 { get; init; }
    public required ulong Cr3 { get; init; }
    public required ulong Cr4 { get; init; }
    public required ulong Efer { get; init; }
}
