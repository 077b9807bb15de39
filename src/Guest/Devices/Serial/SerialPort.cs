using Google.Protobuf;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Devices.Serial;

/// <summary>
/// A 16550 UART that only sends: always ready, no interrupts, no modem. Registers as in the data sheet (National Semiconductor
/// PC16550D), so that a guest that sets it up as usual finds what it expects.
/// </summary>
/// <param name="console">Where what the guest has sent ends up; its section has it, as it moves with the guest.</param>
/// <param name="line">Where each byte goes first.</param>
/// <remarks>Its section is what it keeps, so fields that a newer peer has sent must not be among it: they would be saved again.</remarks>
internal sealed class SerialPort(ConsoleRing console, ISerialLine line)
    : Device<SerialState>("serial", sectionVersion: 1, SerialState.Parser.WithDiscardUnknownFields(true)), IBusDevice
{
    /// <summary>How much of a console is kept, in bytes. It travels while the guest stands still: half a millisecond at 1 Gbit/s.</summary>
    public const int ConsoleCapacity = 64 * 1024;

    /// <summary>I/O ports that it takes.</summary>
    public const int Ports = 8;

    private const int Data = 0;
    private const int InterruptEnable = 1;
    private const int InterruptIdentification = 2;
    private const int LineControl = 3;
    private const int ModemControl = 4;
    private const int LineStatus = 5;
    private const int ModemStatus = 6;
    private const int Scratch = 7;

    private const byte DivisorLatchAccess = 0x80;
    private const byte FifoEnable = 1;
    private const byte FifosEnabled = 0xC0;
    private const byte NoInterruptPending = 1;
    private const byte TransmitterEmpty = 0x60;
    private const byte CarrierSendReady = 0xB0;

    private readonly Lock _gate = new();

    // What was written to the registers that hold it; the console's part is empty in here.
    private SerialState _registers = new();

    public bool Read(IVcpu vcpu, ulong offset, Span<byte> into)
    {
        if (into.Length != 1)
        {
            return false;
        }

        into[0] = Read((int)offset);
        return true;
    }

    public bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from)
    {
        if (from.Length != 1)
        {
            return false;
        }

        if (Write((int)offset, from[0]))
        {
            line.Send(vcpu.Number, from[0]);
        }

        return true;
    }

    protected override SerialState Save()
    {
        (long written, byte[] tail) = console.Save();
        lock (_gate)
        {
            return new SerialState(_registers)
            {
                ConsoleWritten = (ulong)written,
                ConsoleTail = UnsafeByteOperations.UnsafeWrap(tail),
            };
        }
    }

    protected override void Check(SerialState state)
    {
        if (state.ConsoleWritten > long.MaxValue / 2 || (ulong)state.ConsoleTail.Length > state.ConsoleWritten
            || state.ConsoleTail.Length > console.Capacity)
        {
            throw new GuestStateException(
                $"section '{Name}' has the last {state.ConsoleTail.Length} of {state.ConsoleWritten} bytes that the guest " +
                $"wrote; there can be no more than it wrote, and than {console.Capacity}");
        }
    }

    protected override void Load(SerialState state)
    {
        lock (_gate)
        {
            _registers = new SerialState(state) { ConsoleWritten = 0, ConsoleTail = ByteString.Empty };
        }

        console.Load((long)state.ConsoleWritten, state.ConsoleTail.Span);
    }

    private byte Read(int register)
    {
        lock (_gate)
        {
            bool divisor = (_registers.LineControl & DivisorLatchAccess) != 0;
            return (byte)(register switch
            {
                Data => divisor ? _registers.DivisorLow : 0,
                InterruptEnable => divisor ? _registers.DivisorHigh : _registers.InterruptEnable,
                InterruptIdentification =>
                    NoInterruptPending | ((_registers.FifoControl & FifoEnable) != 0 ? FifosEnabled : 0u),
                LineControl => _registers.LineControl,
                ModemControl => _registers.ModemControl,
                LineStatus => TransmitterEmpty,
                ModemStatus => CarrierSendReady,
                _ => _registers.Scratch,
            });
        }
    }

    /// <summary>Writes a register; true when the byte goes out on the line.</summary>
    private bool Write(int register, byte value)
    {
        lock (_gate)
        {
            bool divisor = (_registers.LineControl & DivisorLatchAccess) != 0;
            switch (register)
            {
                case Data when divisor:
                    _registers.DivisorLow = value;
                    break;
                case Data:
                    return true;
                case InterruptEnable when divisor:
                    _registers.DivisorHigh = value;
                    break;
                case InterruptEnable:
                    _registers.InterruptEnable = value & 0x0Fu;
                    break;
                case InterruptIdentification:
                    _registers.FifoControl = value;
                    break;
                case LineControl:
                    _registers.LineControl = value;
                    break;
                case ModemControl:
                    _registers.ModemControl = value & 0x1Fu;
                    break;
                case Scratch:
                    _registers.Scratch = value;
                    break;
                default:
                    // Line and modem status are read-only.
                    break;
            }

            return false;
        }
    }
}

/// <summary>What a serial port's line leads to.</summary>
internal interface ISerialLine
{
    /// <summary>Sends a byte out on the line. Called on the thread of the vCPU that wrote it, by several at a time.</summary>
    void Send(int vcpu, byte value);
}
