using MigrationD.Guest.Devices;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Machine;

/// <summary>A vCPU with its thread, and what happens when it leaves guest code: who answers on the buses is not its business.</summary>
internal sealed class Vcpu : IVcpu
{
    private const byte IoOut = 1;

    private readonly KvmVcpu _kernel;
    private readonly VcpuCrew _crew;
    private readonly Bus _ports;
    private readonly Bus _memory;
    private readonly GuestThread _thread;

    /// <summary>Adds a vCPU that stands still to <paramref name="crew"/>.</summary>
    public Vcpu(KvmVcpu kernel, int number, VcpuCrew crew, Bus ports, Bus memory)
    {
        _kernel = kernel;
        Number = number;
        _crew = crew;
        _ports = ports;
        _memory = memory;
        _thread = crew.Add(
            $"vcpu {number}", $"vCPU {number}", Run, () => kernel.ImmediateExit = false, () => kernel.ImmediateExit = true);
    }

    public int Number { get; }

    public GeneralRegisters Registers => _kernel.Get<GeneralRegisters>(KvmRequest.GetRegisters);

    public ulong FaultAddress => _kernel.Get<KvmSpecialRegisters2>(KvmRequest.GetSpecialRegisters2).Cr2;

    public void Fail(string why) => _crew.Fail($"vCPU {Number} stopped: {why}");

    private void Run()
    {
        while (!_thread.StopRequested)
        {
            Errno error = _kernel.Run();
            if (error == Errno.None)
            {
                Handle();
            }
            else if (error is not (Errno.EINTR or Errno.EAGAIN))
            {
                FailHere($"KVM_RUN failed with {error}");
            }
        }

        FinishPendingIo();
    }

    /// <summary>
    /// After an IO exit the instruction is not over: KVM finishes it when it is entered again. Registers that are read before may still
    /// stand on it, and the guest would do the access once more on the host it moves to.
    /// </summary>
    private void FinishPendingIo()
    {
        if (_crew.Failure is not null)
        {
            return;
        }

        _kernel.ImmediateExit = true;
        while (_kernel.Run() == Errno.None && _crew.Failure is null)
        {
            Handle();
        }
    }

    private void Handle()
    {
        ref KvmRun exit = ref _kernel.Exit;
        switch (exit.ExitReason)
        {
            case KvmExit.Io:
                HandleIo(ref exit);
                break;
            case KvmExit.Mmio:
                HandleMmio(ref exit);
                break;
            case KvmExit.Intr:
            case KvmExit.IrqWindowOpen:
                break;
            case KvmExit.Shutdown:
                FailHere("triple fault (KVM_EXIT_SHUTDOWN)");
                break;
            case KvmExit.InternalError:
                FailHere($"KVM could not go on (KVM_EXIT_INTERNAL_ERROR, suberror {exit.InternalSuberror})");
                break;
            case KvmExit.FailEntry:
                FailHere($"the processor refused its state (KVM_EXIT_FAIL_ENTRY, reason 0x{exit.HardwareReason:x})");
                break;
            default:
                FailHere($"nobody handles KVM exit {exit.ExitReason} ({(uint)exit.ExitReason})");
                break;
        }
    }

    private void HandleIo(ref KvmRun exit)
    {
        // A string instruction does several accesses at once, all to the same port.
        bool isOut = exit.IoDirection == IoOut;
        ushort port = exit.IoPort;
        for (Span<byte> left = _kernel.IoData; left.Length > 0; left = left[exit.IoSize..])
        {
            Span<byte> access = left[..exit.IoSize];
            if (!(isOut ? _ports.Write(this, port, access) : _ports.Read(this, port, access)))
            {
                FailHere($"{(isOut ? "write to" : "read of")} I/O port 0x{port:x}, where there is no device");
                return;
            }
        }
    }

    private void HandleMmio(ref KvmRun exit)
    {
        bool isWrite = exit.MmioIsWrite != 0;
        ulong address = exit.MmioPhysicalAddress;
        Span<byte> access = _kernel.MmioData;
        if (!(isWrite ? _memory.Write(this, address, access) : _memory.Read(this, address, access)))
        {
            FailHere(
                $"{(isWrite ? "write to" : "read of")} physical address 0x{address:x}, where there is neither memory nor a device "
                + "(KVM_EXIT_MMIO)");
        }
    }

    /// <summary>Fails with where in the guest it was, as far as that can be said.</summary>
    private void FailHere(string why)
    {
        string where = "";
        try
        {
            where = $", RIP 0x{Registers.Rip:x}";
        }
        catch (SystemCallException)
        {
            // The failure itself matters more than where it was.
        }

        Fail(why + where);
    }
}
