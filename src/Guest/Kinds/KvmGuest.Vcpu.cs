using System.Buffers.Binary;
using MigrationD.Guest.Devices.Serial;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Machine;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Threads;

namespace MigrationD.Guest.Kinds;

/// <content>A vCPU with its thread, and what happens when it leaves guest code.</content>
public sealed partial class KvmGuest
{
    private const byte IoOut = 1;

    private static readonly string[] ExceptionNames =
    [
        "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode", "device not available",
        "double fault", "", "invalid TSS", "segment not present", "stack fault", "general protection", "page fault", "", "x87 error",
        "alignment check", "machine check", "SIMD error", "virtualization", "control protection",
    ];

    private sealed class Vcpu
    {
        private readonly KvmGuest _guest;
        private readonly int _number;
        private readonly GuestThread _thread;
        private readonly Lock _reportGate = new();
        private readonly byte[] _line = new byte[PulseReportLine.MaxLength];
        private int _lineLength;
        private PulseReportLine _lastReport;

        public Vcpu(KvmGuest guest, int number, KvmVcpu kernel)
        {
            _guest = guest;
            _number = number;
            Kernel = kernel;
            _thread = guest._crew.Add(
                $"vcpu {number}", $"vCPU {number}", Run, () => kernel.ImmediateExit = false, () => kernel.ImmediateExit = true);
        }

        public KvmVcpu Kernel { get; }

        /// <summary>What this vCPU last said about itself, on whatever host.</summary>
        public PulseReportLine LastReport
        {
            get
            {
                lock (_reportGate)
                {
                    return _lastReport;
                }
            }
        }

        public (PulseReportLine Last, byte[] UnfinishedLine) SaveReport()
        {
            lock (_reportGate)
            {
                return (_lastReport, _line.AsSpan(0, _lineLength).ToArray());
            }
        }

        public void LoadReport(PulseReportLine last, ReadOnlySpan<byte> unfinishedLine)
        {
            lock (_reportGate)
            {
                _lastReport = last;
                unfinishedLine.CopyTo(_line);
                _lineLength = unfinishedLine.Length;
            }
        }

        private void Run()
        {
            while (!_thread.StopRequested)
            {
                Errno error = Kernel.Run();
                if (error == Errno.None)
                {
                    Handle();
                }
                else if (error is not (Errno.EINTR or Errno.EAGAIN))
                {
                    _guest._crew.Fail($"vCPU {_number} stopped: KVM_RUN failed with {error}{Where()}");
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
            if (_guest._crew.Failure is not null)
            {
                return;
            }

            Kernel.ImmediateExit = true;
            while (Kernel.Run() == Errno.None && _guest._crew.Failure is null)
            {
                Handle();
            }
        }

        private void Handle()
        {
            ref KvmRun exit = ref Kernel.Exit;
            switch (exit.ExitReason)
            {
                case KvmExit.Io:
                    HandleIo(ref exit);
                    break;
                case KvmExit.Intr:
                case KvmExit.IrqWindowOpen:
                    break;
                case KvmExit.Shutdown:
                    _guest._crew.Fail($"vCPU {_number} stopped: triple fault (KVM_EXIT_SHUTDOWN){Where()}");
                    break;
                case KvmExit.InternalError:
                    _guest._crew.Fail(
                        $"vCPU {_number} stopped: KVM could not go on " +
                        $"(KVM_EXIT_INTERNAL_ERROR, suberror {exit.InternalSuberror}){Where()}");
                    break;
                case KvmExit.FailEntry:
                    _guest._crew.Fail(
                        $"vCPU {_number} stopped: the processor refused its state " +
                        $"(KVM_EXIT_FAIL_ENTRY, reason 0x{exit.HardwareReason:x}){Where()}");
                    break;
                case KvmExit.Mmio:
                    _guest._crew.Fail(
                        $"vCPU {_number} stopped: {(exit.MmioIsWrite != 0 ? "write to" : "read of")} physical address " +
                        $"0x{exit.MmioPhysicalAddress:x}, where there is neither memory nor a device (KVM_EXIT_MMIO){Where()}");
                    break;
                default:
                    _guest._crew.Fail($"vCPU {_number} stopped: nobody handles KVM exit {exit.ExitReason} ({(uint)exit.ExitReason}){Where()}");
                    break;
            }
        }

        private void HandleIo(ref KvmRun exit)
        {
            bool isOut = exit.IoDirection == IoOut;
            int register = exit.IoPort - PulseProgram.SerialPort;
            if (exit.IoSize == 1 && register is >= 0 and < SerialPort.Ports)
            {
                foreach (ref byte value in Kernel.IoData)
                {
                    if (!isOut)
                    {
                        value = _guest._serial.Read(register);
                    }
                    else if (_guest._serial.Write(register, value))
                    {
                        Send(value);
                    }
                }
            }
            else if (isOut && exit.IoPort == PulseProgram.FailurePort)
            {
                FailByException(Kernel.IoData[0]);
            }
            else
            {
                _guest._crew.Fail(
                    $"vCPU {_number} stopped: {(isOut ? "write to" : "read of")} I/O port 0x{exit.IoPort:x}, " +
                    $"where there is no device{Where()}");
            }
        }

        /// <summary>
        /// A character on the line. vCPUs write at the same time, so each has a line of its own, and the console gets whole ones.
        /// </summary>
        private void Send(byte value)
        {
            lock (_reportGate)
            {
                _line[_lineLength++] = value;
                if (value != '\n' && _lineLength < _line.Length)
                {
                    return;
                }

                ReadOnlySpan<byte> line = _line.AsSpan(0, _lineLength);
                _guest._console.Write(line);
                if (PulseReportLine.TryParse(line[..^1], out PulseReportLine report) && report.VcpuNumber == _number)
                {
                    _lastReport = report;
                }

                _lineLength = 0;
            }
        }

        /// <summary>The guest's handler has left vector, error code, RIP and the rest of the frame on top of its ring 0 stack.</summary>
        private void FailByException(byte vector)
        {
            var registers = Kernel.Get<KvmRegisters>(KvmRequest.GetRegisters);
            string name = vector < ExceptionNames.Length && ExceptionNames[vector].Length > 0 ? $" ({ExceptionNames[vector]})" : "";
            string what = $"vCPU {_number} stopped: exception {vector}{name}";
            long frame = (long)registers.Rsp;
            if (frame < _guest.Layout.KernelStackTop(_number) - GuestPage.Size || frame > _guest.Layout.KernelStackTop(_number) - 24)
            {
                _guest._crew.Fail($"{what}, stack pointer 0x{registers.Rsp:x} outside the ring 0 stack{Where()}");
                return;
            }

            // The vCPU has just written it, so it is there.
            Span<byte> words = stackalloc byte[24];
            _guest.Memory.Read(frame, words);
            ulong code = BinaryPrimitives.ReadUInt64LittleEndian(words[8..]);
            ulong rip = BinaryPrimitives.ReadUInt64LittleEndian(words[16..]);
            var special = Kernel.Get<KvmSpecialRegisters2>(KvmRequest.GetSpecialRegisters2);
            _guest._crew.Fail($"{what}, error code 0x{code:x}, RIP 0x{rip:x}, CR2 0x{special.Cr2:x}");
        }

        private string Where()
        {
            try
            {
                return $", RIP 0x{Kernel.Get<KvmRegisters>(KvmRequest.GetRegisters).Rip:x}";
            }
            catch (SystemCallException)
            {
                // The failure itself matters more than where it was.
                return "";
            }
        }
    }
}
