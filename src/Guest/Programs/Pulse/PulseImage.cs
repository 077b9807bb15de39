using System.Buffers.Binary;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>Writes a new pulse guest into its RAM: what a boot loader and a kernel would have left there.</summary>
internal static class PulseImage
{
    /// <summary>Segment selectors. Linux's own numbers: a hypervisor that has an opinion (PVM) expects these.</summary>
    public const ushort KernelCode = 0x10;

    public const ushort KernelData = 0x18;
    public const ushort UserData = 0x28 | 3;
    public const ushort UserCode = 0x30 | 3;
    public const ushort FirstTss = 0x40;

    /// <summary>Size of a task state segment (AMD64 manual, volume 2, section 12.2.5).</summary>
    public const int TssSize = 104;

    public const int GdtSize = FirstTss + (AddressMap.MaxVcpus * 16);
    public const int IdtSize = PulseCode.Exceptions * 16;

    private const int TssStride = 128;

    // Present, writable, for ring 3 as well, accessed, dirty: set in advance, so that walking the tables never writes to them.
    private const ulong TableEntry = 0x27;
    private const ulong LargePageEntry = 0xE7;

    /// <summary>Writes what both kinds of guest have: the constants of each vCPU and the zipf table.</summary>
    public static void WriteWalk(GuestMemory memory, PulseLayout layout, WalkPattern pattern, ulong reportTicks)
    {
        Span<ulong> block = stackalloc ulong[VcpuBlock.Size / 8];
        for (int vcpu = 0; vcpu < layout.Vcpus; vcpu++)
        {
            block.Clear();
            long start = layout.ShareStart(vcpu);
            block[VcpuBlock.SharePagesAddress / 8] = (ulong)layout.PageOffset(start);
            block[VcpuBlock.ShareVersionsAddress / 8] = (ulong)layout.VersionOffset(start);
            block[VcpuBlock.ShareStart / 8] = (ulong)start;
            block[VcpuBlock.SharePages / 8] = (ulong)layout.SharePages(vcpu);
            block[VcpuBlock.ZipfTableAddress / 8] = (ulong)layout.ZipfTableOffset;
            block[VcpuBlock.ReportTicks / 8] = reportTicks;
            block[VcpuBlock.VcpuNumber / 8] = (ulong)vcpu;
            block[VcpuBlock.Random / 8] = Walk.Start(vcpu).Random;
            memory.Write(layout.BlockOffset(vcpu), MemoryMarshal.AsBytes(block));
        }

        if (pattern == WalkPattern.Zipf)
        {
            // One table for all: the last share may be larger by less than a page per vCPU, and the sweep visits those.
            memory.Write(layout.ZipfTableOffset, MemoryMarshal.AsBytes(ZipfTable.Create(layout.SharePages(0)).AsSpan()));
        }
    }

    /// <summary>Writes the processor's tables and the code, and returns the address of a vCPU's first instruction.</summary>
    public static ulong WriteMachine(GuestMemory memory, PulseLayout layout, WalkPattern pattern, GuestContent content)
    {
        PulseCode program = PulseCode.Assemble(pattern, content, (ulong)layout.CodeOffset);
        if (program.Code.Length > PulseLayout.CodePages * GuestPage.Size)
        {
            throw new InvalidOperationException($"the pulse guest's code of {program.Code.Length} bytes is larger than its pages");
        }

        memory.Write(layout.CodeOffset, program.Code);
        WriteDescriptors(memory, layout);
        WriteInterruptTable(memory, program);
        WritePageTables(memory);
        return program.Entry;
    }

    private static void WriteDescriptors(GuestMemory memory, PulseLayout layout)
    {
        Span<byte> gdt = stackalloc byte[GdtSize];
        gdt.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[KernelCode..], 0x00AF9B000000FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[KernelData..], 0x00CF93000000FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[(UserData & ~3)..], 0x00CFF3000000FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[(UserCode & ~3)..], 0x00AFFB000000FFFF);
        Span<byte> tss = stackalloc byte[TssSize];
        for (int vcpu = 0; vcpu < layout.Vcpus; vcpu++)
        {
            // A busy 64-bit TSS; bases below 4 GiB leave the upper half of the descriptor zero.
            ulong address = (ulong)TssAddress(vcpu);
            ulong descriptor = (TssSize - 1) | (address & 0xFFFFFF) << 16 | 0x8BUL << 40 | (address >> 24 & 0xFF) << 56;
            BinaryPrimitives.WriteUInt64LittleEndian(gdt[TssSelector(vcpu)..], descriptor);

            tss.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(tss[4..], (ulong)layout.KernelStackTop(vcpu));
            BinaryPrimitives.WriteUInt16LittleEndian(tss[102..], TssSize);
            memory.Write(TssAddress(vcpu), tss);
        }

        memory.Write(PulseLayout.GdtOffset, gdt);
    }

    private static void WriteInterruptTable(GuestMemory memory, PulseCode program)
    {
        Span<byte> idt = stackalloc byte[IdtSize];
        idt.Clear();
        for (int vector = 0; vector < PulseCode.Exceptions; vector++)
        {
            // A present 64-bit interrupt gate.
            ulong handler = program.Handlers[vector];
            ulong gate = (handler & 0xFFFF) | (ulong)KernelCode << 16 | 0x8EUL << 40 | (handler >> 16 & 0xFFFF) << 48;
            BinaryPrimitives.WriteUInt64LittleEndian(idt[(vector * 16)..], gate);
            BinaryPrimitives.WriteUInt64LittleEndian(idt[((vector * 16) + 8)..], handler >> 32);
        }

        memory.Write(PulseLayout.IdtOffset, idt);
    }

    private static void WritePageTables(GuestMemory memory)
    {
        Span<ulong> pml4 = [(ulong)PulseLayout.PdptOffset | TableEntry];
        memory.Write(PulseLayout.Pml4Offset, MemoryMarshal.AsBytes(pml4));

        Span<ulong> directory = stackalloc ulong[GuestPage.Size / sizeof(ulong)];
        Span<ulong> pointer = stackalloc ulong[1];
        for (int gib = 0; (long)gib << 30 < memory.Length; gib++)
        {
            long table = PulseLayout.PageDirectoriesOffset + ((long)gib * GuestPage.Size);
            pointer[0] = (ulong)table | TableEntry;
            memory.Write(PulseLayout.PdptOffset + (gib * sizeof(ulong)), MemoryMarshal.AsBytes(pointer));

            directory.Clear();
            for (int entry = 0; entry < directory.Length; entry++)
            {
                long offset = ((long)gib << 30) + ((long)entry * GuestPage.BlockSize);
                if (offset < memory.Length)
                {
                    directory[entry] = (ulong)AddressMap.PhysicalAddress(offset) | LargePageEntry;
                }
            }

            memory.Write(table, MemoryMarshal.AsBytes(directory));
        }
    }

    public static long TssAddress(int vcpu) => PulseLayout.TssOffset + (vcpu * TssStride);

    public static ushort TssSelector(int vcpu) => (ushort)(FirstTss + (vcpu * 16));
}
