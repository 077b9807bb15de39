using Microsoft.Win32.SafeHandles;

namespace MigrationD.Guest.Machine;

/// <summary>A virtual machine of KVM: RAM, interrupt controllers and timer in the kernel, and vCPUs.</summary>
internal sealed unsafe class KvmVirtualMachine : KvmObject
{
    /// <summary>Three pages that older Intel processors need; in the hole, out of the way of RAM and APICs.</summary>
    private const uint TssAddress = 0xFFFBD000;

    private KvmVirtualMachine(SafeFileHandle vm, GuestMemory memory)
        : base(vm)
    {
        Slots = [.. AddressMap.PiecesOf(memory.Length).Select((piece, number) => new KvmMemoryRegion
        {
            Slot = (uint)number,
            GuestPhysicalAddress = (ulong)piece.PhysicalAddress,
            MemorySize = (ulong)piece.Length,
            UserspaceAddress = (ulong)(memory.Address + (nint)piece.Offset),
        })];
    }

    /// <summary>The pieces that RAM consists of, in the order of <see cref="GuestMemory"/>, without a gap there.</summary>
    public IReadOnlyList<KvmMemoryRegion> Slots { get; }

    /// <summary>A machine with this memory as its RAM and no vCPU yet.</summary>
    public static KvmVirtualMachine Create(KvmDevice device, GuestMemory memory)
    {
        var machine = new KvmVirtualMachine(device.CreateVm(), memory);
        try
        {
            machine.Call(KvmRequest.SetTssAddress, TssAddress);
            machine.Call(KvmRequest.CreateIrqchip, 0);
            machine.Set(KvmRequest.CreatePit2, default(KvmPitConfig));
            foreach (KvmMemoryRegion slot in machine.Slots)
            {
                machine.Set(KvmRequest.SetUserMemoryRegion, slot);
            }

            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    public SafeFileHandle CreateVcpu(int number) => new(Call(KvmRequest.CreateVcpu, (nuint)number), ownsHandle: true);

    /// <summary>
    /// Makes, from the next <see cref="LogDirtyPages"/> on, KVM_GET_DIRTY_LOG only read, KVM_CLEAR_DIRTY_LOG protect, and every page dirty
    /// at first, so that nothing is protected at the start (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with INITIALLY_SET).
    /// </summary>
    public void ProtectDirtyLogManually() => Set(KvmRequest.EnableCapability, new KvmEnableCapability
    {
        Capability = KvmCapability.ManualDirtyLogProtect2,
        Argument0 = KvmEnableCapability.DirtyLogManualProtect | KvmEnableCapability.DirtyLogInitiallySet,
    });

    /// <summary>Switches the log of a slot on or off (KVM_MEM_LOG_DIRTY_PAGES).</summary>
    public void LogDirtyPages(KvmMemoryRegion slot, bool log) =>
        Set(KvmRequest.SetUserMemoryRegion, slot with { Flags = log ? KvmMemoryRegion.LogDirtyPages : 0 });

    /// <summary>KVM_GET_DIRTY_LOG: the whole slot's bitmap, 64 pages a word.</summary>
    public void GetDirtyLog(uint slot, Span<ulong> into)
    {
        fixed (ulong* bitmap = into)
        {
            Set(KvmRequest.GetDirtyLog, new KvmDirtyLogArgument { Slot = slot, Bitmap = (ulong)bitmap });
        }
    }

    /// <summary>
    /// KVM_CLEAR_DIRTY_LOG: takes the pages of a bitmap out of the log and protects them. It begins at a page of the slot that is a
    /// multiple of 64.
    /// </summary>
    public void ClearDirtyLog(uint slot, long firstPage, ReadOnlySpan<ulong> bitmap)
    {
        fixed (ulong* words = bitmap)
        {
            Set(KvmRequest.ClearDirtyLog, new KvmClearDirtyLogArgument
            {
                Slot = slot,
                PageCount = (uint)bitmap.Length * PageBits.PerWord,
                FirstPage = (ulong)firstPage,
                Bitmap = (ulong)words,
            });
        }
    }
}
