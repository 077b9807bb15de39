namespace MigrationD.Guest.Devices.Serial;

/// <summary>
/// A 16550 UART that only sends: always ready, no interrupts, no modem. Registers as in the data sheet (National Semiconductor
/// PC16550D), so that a guest that sets it up as usual finds what it expects.
/// </summary>
internal sealed class SerialPort
{
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
    private Registers _registers;

    /// <summary>Everything a guest can change.</summary>
    public Registers State
    {
        get
        {
            lock (_gate)
            {
                return _registers;
            }
        }

        set
        {
            lock (_gate)
            {
                _registers = value;
            }
        }
    }

    /// <summary>The guest reads a register.</summary>
    public byte Read(int register)
    {
        lock (_gate)
        {
            bool divisor = (_registers.LineControl & DivisorLatchAccess) != 0;
            return register switch
            {
                Data => divisor ? _registers.DivisorLow : (byte)0,
                InterruptEnable => divisor ? _registers.DivisorHigh : _registers.InterruptEnable,
                InterruptIdentification =>
                    (byte)(NoInterruptPending | ((_registers.FifoControl & FifoEnable) != 0 ? FifosEnabled : 0)),
                LineControl => _registers.LineControl,
                ModemControl => _registers.ModemControl,
                LineStatus => TransmitterEmpty,
                ModemStatus => CarrierSendReady,
                _ => _registers.Scratch,
            };
        }
    }

    /// <summary>The guest writes a register.</summary>
    /// <returns>True when the byte goes out on the line.</returns>
    public bool Write(int register, byte value)
    {
        lock (_gate)
        {
            bool divisor = (_registers.LineControl & DivisorLatchAccess) != 0;
            switch (register)
            {
                case Data when divisor:
                    _registers.DivisorLow = value;
                    return false;
                case Data:
                    return true;
                case InterruptEnable when divisor:
                    _registers.DivisorHigh = value;
                    return false;
                case InterruptEnable:
                    _registers.InterruptEnable = (byte)(value & 0x0F);
                    return false;
                case InterruptIdentification:
                    _registers.FifoControl = value;
                    return false;
                case LineControl:
                    _registers.LineControl = value;
                    return false;
                case ModemControl:
                    _registers.ModemControl = (byte)(value & 0x1F);
                    return false;
                case Scratch:
                    _registers.Scratch = value;
                    return false;
                default:
                    // Line and modem status are read-only.
                    return false;
            }
        }
    }

    /// <summary>The registers that hold what was written to them.</summary>
    public struct Registers
    {
        public byte DivisorLow, DivisorHigh, InterruptEnable, FifoControl, LineControl, ModemControl, Scratch;
    }
}
