using System.Buffers.Binary;
using MigrationD.Guest.Devices;

namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// Where the pulse guest writes the vector of an exception that it did not expect, with vector, error code, RIP and the rest of the
/// frame on top of its ring 0 stack. The guest fails then, with all of that.
/// </summary>
internal sealed class FailurePort(GuestMemory memory, PulseLayout layout) : IBusDevice
{
    private const int FrameSize = 3 * sizeof(ulong);

    private static readonly string[] ExceptionNames =
    [
        "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode", "device not available",
        "double fault", "", "invalid TSS", "segment not present", "stack fault", "general protection", "page fault", "", "x87 error",
        "alignment check", "machine check", "SIMD error", "virtualization", "control protection",
    ];

    public bool Read(IVcpu vcpu, ulong offset, Span<byte> into) => false;

    public bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from)
    {
        byte vector = from[0];
        string name = vector < ExceptionNames.Length && ExceptionNames[vector].Length > 0 ? $" ({ExceptionNames[vector]})" : "";
        string what = $"exception {vector}{name}";
        GeneralRegisters registers = vcpu.Registers;
        long frame = (long)registers.Rsp;
        long top = layout.KernelStackTop(vcpu.Number);
        if (frame < top - GuestPage.Size || frame > top - FrameSize)
        {
            vcpu.Fail($"{what}, stack pointer 0x{registers.Rsp:x} outside the ring 0 stack, RIP 0x{registers.Rip:x}");
            return true;
        }

        // The vCPU has just written it, so it is there.
        Span<byte> words = stackalloc byte[FrameSize];
        memory.Read(frame, words);
        ulong code = BinaryPrimitives.ReadUInt64LittleEndian(words[8..]);
        ulong rip = BinaryPrimitives.ReadUInt64LittleEndian(words[16..]);
        vcpu.Fail($"{what}, error code 0x{code:x}, RIP 0x{rip:x}, CR2 0x{vcpu.FaultAddress:x}");
        return true;
    }
}
