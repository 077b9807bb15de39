using Microsoft.Win32.SafeHandles;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Pulse;

namespace MigrationD.Guest.Kvm;

/// <summary>A virtual machine of KVM: RAM, interrupt controllers and timer in the kernel, and vCPUs.</summary>
internal sealed unsafe class KvmVirtualMachine : IDisposable
{
    /// <summary>Three pages that older Intel processors need; in the hole, out of the way of RAM and APICs.</summary>
    private const uint TssAddress = 0xFFFBD000;

    private readonly SafeFileHandle _vm;

    private KvmVirtualMachine(SafeFileHandle vm)
    {
        _vm = vm;
    }

    /// <summary>A machine with this memory as its RAM and no vCPU yet.</summary>
    public static KvmVirtualMachine Create(KvmDevice device, GuestMemory memory)
    {
        var machine = new KvmVirtualMachine(device.CreateVm());
        try
        {
            KvmIoctl.Value(machine._vm, KvmRequest.SetTssAddress, TssAddress);
            KvmIoctl.Value(machine._vm, KvmRequest.CreateIrqchip, 0);
            KvmIoctl.Set(machine._vm, KvmRequest.CreatePit2, default(KvmPitConfig));
            machine.MapMemory(memory);
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

    public void Dispose() => _vm.Dispose();

    private void MapMemory(GuestMemory memory)
    {
        MapSlot(0, memory, 0, Math.Min(memory.Length, PulseImage.HoleStart));
        if (memory.Length > PulseImage.HoleStart)
        {
            MapSlot(1, memory, PulseImage.HoleStart, memory.Length - PulseImage.HoleStart);
        }
    }

    private void MapSlot(uint slot, GuestMemory memory, long offset, long length) =>
        KvmIoctl.Set(_vm, KvmRequest.SetUserMemoryRegion, new KvmMemoryRegion
        {
            Slot = slot,
            GuestPhysicalAddress = (ulong)PulseImage.PhysicalAddress(offset),
            MemorySize = (ulong)length,
            UserspaceAddress = (ulong)(memory.Address + offset),
        });
}
