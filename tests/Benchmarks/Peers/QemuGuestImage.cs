using System.Buffers.Binary;
using Iced.Intel;
using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;
using static Iced.Intel.AssemblerRegisters;

namespace MigrationD.Benchmarks.Peers;

/// <summary>
/// The pulse guest as a multiboot image that a PC starts: the very program and tables of migrationd's own KVM guest, behind a short boot
/// program that puts them in place and enters the walk in ring 3.
/// </summary>
/// <remarks>
/// <para>A PC has no plain RAM between 640 KiB and 1 MiB, where the pulse guest keeps its version table. So its first 2 MiB are mapped to
/// 2 MiB that the PC has on top (<see cref="MachineBytes"/>); everything else lies where it does under KVM.</para>
/// <para>The image is loaded to where the working set starts. The guest fills its working set before it reads any of it, so by then the
/// boot program has gone and no page of RAM differs from the KVM guest's.</para>
/// </remarks>
internal static class QemuGuestImage
{
    /// <summary>The largest guest: with the block that stands in for its first one it ends where a PC's devices begin.</summary>
    public const long MostMemoryMiB = (AddressMap.HoleStart - ExtraBytes) >> 20;

    private const long ExtraBytes = GuestPage.BlockSize;

    // Multiboot 0.6.96: magic, flags (bit 16: addresses are in the header), checksum, then header, load, end of data, end of bss, entry.
    private const uint HeaderMagic = 0x1BADB002;
    private const uint HeaderFlags = 1 << 16;
    private const int HeaderBytes = 32;

    // The first page of the image; the stack grows down from its end.
    private const int BootBytes = GuestPage.Size;
    private const int GdtPointer = HeaderBytes;
    private const int IdtPointer = GdtPointer + 8;
    private const int Code32 = IdtPointer + 16;
    private const int Code64 = Code32 + 128;

    private const uint Cr4PhysicalAddressExtension = 1 << 5;
    private const uint EferMsr = 0xC0000080;
    private const uint EferLongMode = 1 << 8;
    private const uint Cr0Paging = 1u << 31;
    private const ulong PresentEntry = 1;
    private const int AvailableTss = 0x89;

    /// <summary>RAM that the PC must have for a guest of this specification, in bytes.</summary>
    public static long MachineBytes(GuestSpec spec) => spec.MemoryBytes + ExtraBytes;

    /// <summary>Makes the image for one vCPU.</summary>
    /// <param name="spec">A guest of one vCPU and at most <see cref="MostMemoryMiB"/>.</param>
    /// <param name="reportTicks">How often the guest reports, in ticks of its TSC.</param>
    public static byte[] Create(GuestSpec spec, ulong reportTicks)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(spec.Vcpus, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MachineBytes(spec), AddressMap.HoleStart);
        var layout = new PulseLayout(spec);
        long moved = spec.MemoryBytes;
        long load = (layout.WorkingSetOffset + GuestPage.BlockSize - 1) / GuestPage.BlockSize * GuestPage.BlockSize;

        // All that the host writes lies below the version table, which starts as zeros, as the PC's RAM does.
        var image = new byte[BootBytes + layout.VersionTableOffset];
        Span<byte> low = image.AsSpan(BootBytes);
        using var memory = GuestMemory.Map(spec.MemoryBytes);
        PulseImage.WriteWalk(memory, layout, spec.Pattern, reportTicks);
        ulong entry = PulseImage.WriteMachine(memory, layout, spec.Pattern, spec.Content);
        memory.Read(0, low);
        MoveFirstBlock(low, spec.MemoryBytes, moved);

        // LTR wants a TSS that is not busy; KVM's vCPUs start with it loaded, hence busy.
        low[(int)PulseLayout.GdtOffset + PulseImage.TssSelector(0) + 5] = AvailableTss;

        WriteHeader(image, (uint)load);
        WritePointer(image.AsSpan(GdtPointer), PulseImage.GdtSize, PulseLayout.GdtOffset);
        WritePointer(image.AsSpan(IdtPointer), PulseImage.IdtSize, PulseLayout.IdtOffset);
        Place(image, Code32, Code64, EnterLongMode((uint)load, (uint)moved, low.Length), (ulong)load + Code32);
        Place(image, Code64, BootBytes / 2, EnterWalk(load, layout, entry), (ulong)load + Code64);
        return image;
    }

    /// <summary>Page tables name physical addresses: those of the tables themselves, and of the first block.</summary>
    private static void MoveFirstBlock(Span<byte> low, long memoryBytes, long moved)
    {
        Add(low, PulseLayout.Pml4Offset, moved);
        for (int gib = 0; (long)gib << 30 < memoryBytes; gib++)
        {
            Add(low, PulseLayout.PdptOffset + (gib * sizeof(ulong)), moved);
        }

        Add(low, PulseLayout.PageDirectoriesOffset, moved);

        static void Add(Span<byte> low, long offset, long moved)
        {
            Span<byte> entry = low[(int)offset..];
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(entry);
            if ((value & PresentEntry) == 0)
            {
                throw new InvalidOperationException($"the pulse guest's page table has no entry at offset 0x{offset:x}");
            }

            BinaryPrimitives.WriteUInt64LittleEndian(entry, value + (ulong)moved);
        }
    }

    private static void WriteHeader(Span<byte> image, uint load)
    {
        ReadOnlySpan<uint> header =
            [HeaderMagic, HeaderFlags, unchecked(0 - HeaderMagic - HeaderFlags), load, load, load + (uint)image.Length, 0, load + Code32];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(image[(i * sizeof(uint))..], header[i]);
        }
    }

    private static void WritePointer(Span<byte> at, int size, long address)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)(size - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(at[2..], (uint)address);
    }

    /// <summary>From what a multiboot loader leaves (32 bits, flat segments, no paging) to 64 bits.</summary>
    private static Assembler EnterLongMode(uint load, uint moved, int lowBytes)
    {
        var _ = new Assembler(32);
        _.mov(esp, load + BootBytes);
        _.mov(esi, load + BootBytes);
        _.mov(edi, moved);
        _.mov(ecx, (uint)lowBytes / sizeof(uint));
        _.cld();
        _.rep.movsd();

        _.mov(eax, cr4);
        _.or(eax, Cr4PhysicalAddressExtension);
        _.mov(cr4, eax);
        _.mov(eax, moved + (uint)PulseLayout.Pml4Offset);
        _.mov(cr3, eax);
        _.mov(ecx, EferMsr);
        _.rdmsr();
        _.or(eax, EferLongMode);
        _.wrmsr();
        _.mov(eax, cr0);
        _.or(eax, Cr0Paging);
        _.mov(cr0, eax);
        _.lgdt(__[load + GdtPointer]);
        _.push((uint)PulseImage.KernelCode);
        _.push(load + Code64);
        _.retf();
        return _;
    }

    /// <summary>The rest of what KVM_SET_SREGS and KVM_SET_REGS do for the KVM guest.</summary>
    private static Assembler EnterWalk(long load, PulseLayout layout, ulong entry)
    {
        var _ = new Assembler(64);
        _.mov(eax, (uint)(load + IdtPointer));
        _.lidt(__[rax]);
        _.mov(eax, (uint)PulseImage.TssSelector(0));
        _.ltr(ax);
        _.mov(eax, (uint)PulseImage.UserData);
        _.mov(ds, eax);
        _.mov(es, eax);
        _.mov(fs, eax);
        _.mov(gs, eax);

        // Interrupts stay off: nobody has programmed the PC's timer, and nobody shall be woken by it.
        const int Flags = 2;
        _.push(PulseImage.UserData);
        _.push((int)layout.UserStackTop(0));
        _.push(Flags);
        _.push(PulseImage.UserCode);
        _.push((int)entry);
        _.mov(r15d, (uint)layout.BlockOffset(0));
        _.xor(r10d, r10d);
        _.iretq();
        return _;
    }

    private static void Place(byte[] image, int offset, int end, Assembler code, ulong address)
    {
        using var stream = new MemoryStream(image, offset, end - offset);
        code.Assemble(new StreamCodeWriter(stream), address);
    }
}
