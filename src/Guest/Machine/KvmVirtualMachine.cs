using Microsoft.Win32.SafeHandles;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Platform;

namespace MigrationD.Guest.Machine;

/// <summary>A virtual machine of KVM: RAM, interrupt controllers and timer in the kernel, and vCPUs.</summary>
internal sealed unsafe class KvmVirtualMachine : IDisposable
{
    /// <summary>Three pages that older Intel processors need; in the hole, out of the way of RAM and APICs.</summary>
    private const uint TssAddress = 0xFFFBD000;

    private readonly SafeFileHandle _vm;
    private readonly KvmMemoryRegion[] _slots;

    private KvmVirtualMachine(SafeFileHandle vm, GuestMemory memory)
    {
        _vm = vm;
        _slots = [.. AddressMap.PiecesOf(memory.Length).Select((piece, number) => Slot(number, memory, piece))];
    }

    /// <summary>The pieces that RAM consists of, in the order of <see cref="GuestMemory"/>, without a gap there.</summary>
    public ReadOnlySpan<KvmMemoryRegion> Slots => _slots;

    /// <summary>Whether it has been closed.</summary>
    public bool IsDisposed => _vm.IsClosed;

    /// <summary>A machine with this memory as its RAM and no vCPU yet.</summary>
    public static KvmVirtualMachine Create(KvmDevice device, GuestMemory memory)
    {
        var machine = new KvmVirtualMachine(device.CreateVm(), memory);
        try
        {
            KvmIoctl.Value(machine._vm, KvmRequest.SetTssAddress, TssAddress);
            KvmIoctl.Value(machine._vm, KvmRequest.CreateIrqchip, 0);
            KvmIoctl.Set(machine._vm, KvmRequest.CreatePit2, default(KvmPitConfig));
            foreach (KvmMemoryRegion slot in machine._slots)
            {
                KvmIoctl.Set(machine._vm, KvmRequest.SetUserMemoryRegion, slot);
            }

            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>KVM_CREATE_VCPU.</summary>
    public SafeFileHandle CreateVcpu(int number) => new(KvmIoctl.Value(_vm, KvmRequest.CreateVcpu, (nuint)number), ownsHandle: true);

    /// <summary>struct kvm_irqchip of one of the chips: 0 and 1 are the PICs, 2 is the IOAPIC.</summary>
    public byte[] GetIrqchip(uint chip) => KvmIoctl.GetBytes(_vm, KvmRequest.GetIrqchip, chip);

    /// <summary>Loads a struct kvm_irqchip; it says itself which chip it is.</summary>
    public void SetIrqchip(ReadOnlySpan<byte> state)
    {
        // The number's direction says "read" but the kernel reads the structure, 520 bytes in both requests.
        KvmIoctl.SetBytes(_vm, KvmRequest.SetIrqchip, state);
    }

    /// <summary>struct kvm_pit_state2.</summary>
    public byte[] GetPit() => KvmIoctl.GetBytes(_vm, KvmRequest.GetPit2);

    /// <summary>Loads a struct kvm_pit_state2.</summary>
    public void SetPit(ReadOnlySpan<byte> state) => KvmIoctl.SetBytes(_vm, KvmRequest.SetPit2, state);

    /// <summary>kvmclock, with the realtime at which it was read where the kernel knows it.</summary>
    public KvmClockData GetClock() => KvmIoctl.Get<KvmClockData>(_vm, KvmRequest.GetClock);

    /// <summary>Sets kvmclock, exactly as given.</summary>
    public void SetClock(KvmClockData clock) => KvmIoctl.Set(_vm, KvmRequest.SetClock, clock);

    /// <summary>
    /// From the next <see cref="LogDirtyPages"/> on: KVM_GET_DIRTY_LOG only reads, KVM_CLEAR_DIRTY_LOG protects, and every page is dirty at
    /// first, so that nothing is protected at the start (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with INITIALLY_SET).
    /// </summary>
    public void ProtectDirtyLogManually() => KvmIoctl.Set(_vm, KvmRequest.EnableCapability, new KvmEnableCapability
    {
        Capability = KvmCapability.ManualDirtyLogProtect2,
        Argument0 = KvmEnableCapability.DirtyLogManualProtect | KvmEnableCapability.DirtyLogInitiallySet,
    });

    /// <summary>Switches the log of a slot on or off (KVM_MEM_LOG_DIRTY_PAGES).</summary>
    public void LogDirtyPages(KvmMemoryRegion slot, bool log)
    {
        slot.Flags = log ? KvmMemoryRegion.LogDirtyPages : 0;
        KvmIoctl.Set(_vm, KvmRequest.SetUserMemoryRegion, slot);
    }

    /// <summary>KVM_GET_DIRTY_LOG: the whole slot's bitmap, 64 pages a word.</summary>
    public void GetDirtyLog(uint slot, Span<ulong> into)
    {
        fixed (ulong* bitmap = into)
        {
            KvmIoctl.Set(_vm, KvmRequest.GetDirtyLog, new KvmDirtyLogArgument { Slot = slot, Bitmap = (ulong)bitmap });
        }
    }

    /// <summary>KVM_CLEAR_DIRTY_LOG: takes pages out of the log and protects them, those of the bitmap.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="firstPage">Of the slot; a multiple of 64.</param>
    /// <param name="bitmap">Words of 64 pages.</param>
    public void ClearDirtyLog(uint slot, long firstPage, ReadOnlySpan<ulong> bitmap)
    {
        fixed (ulong* words = bitmap)
        {
            KvmIoctl.Set(_vm, KvmRequest.ClearDirtyLog, new KvmClearDirtyLogArgument
            {
                Slot = slot,
                PageCount = (uint)bitmap.Length * 64,
                FirstPage = (ulong)firstPage,
                Bitmap = (ulong)words,
            });
        }
    }

    public void Dispose() => _vm.Dispose();

    private static KvmMemoryRegion Slot(int number, GuestMemory memory, RamPiece piece) => new()
    {
        Slot = (uint)number,
        GuestPhysicalAddress = (ulong)piece.PhysicalAddress,
        MemorySize = (ulong)piece.Length,
        UserspaceAddress = (ulong)(memory.Address + (nint)piece.Offset),
    };
}
