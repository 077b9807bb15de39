using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Devices.Serial;

namespace MigrationD.Guest.Tests.Devices;

public sealed class SerialPortTests
{
    private readonly ConsoleRing _console = new(16);
    private readonly Line _line = new();
    private readonly SerialPort _serial;

    public SerialPortTests()
    {
        _serial = new SerialPort(_console, _line);
    }

    [Fact]
    public void It_sends_and_keeps_its_registers()
    {
        Write(0, (byte)'a', vcpu: 3);
        Assert.Equal([(3, (byte)'a')], _line.Sent);
        Assert.Equal(0x60, Read(5) & 0x60);

        // 115200 baud, 8N1, as every boot loader sets it up.
        Write(3, 0x80);
        Write(0, 1);
        Write(1, 0);
        Assert.Equal(1, Read(0));
        Write(3, 0x03);
        Write(2, 0xC7);
        Write(4, 0x0B);
        Write(7, 0x5A);
        Assert.Equal(0, Read(0));
        Assert.Equal(0xC1, Read(2));
        Assert.Equal(0x03, Read(3));
        Assert.Equal(0x0B, Read(4));
        Assert.Equal(0x5A, Read(7));
        Assert.Single(_line.Sent);
    }

    [Fact]
    public void Registers_and_console_move_with_it()
    {
        Write(2, 0xC7);
        Write(7, 0x5A);
        _console.Write("a console of more than sixteen bytes"u8);
        var otherConsole = new ConsoleRing(16);
        var other = new SerialPort(otherConsole, _line);
        ((IDevice)other).Check(((IDevice)_serial).Save().ToByteString())();
        Assert.Equal(0xC1, Read(other, 2));
        Assert.Equal(0x5A, Read(other, 7));
        Assert.Equal(_console.Written, otherConsole.Written);
        Assert.Equal(_console.Read(0, 100, out _), otherConsole.Read(0, 100, out _));
    }

    [Fact]
    public void A_register_is_a_byte()
    {
        Assert.False(_serial.Write(new TestVcpu(), 0, new byte[2]));
        Assert.False(_serial.Read(new TestVcpu(), 0, new byte[4]));
        Assert.Empty(_line.Sent);
    }

    private static byte Read(SerialPort serial, ulong register)
    {
        byte[] value = new byte[1];
        Assert.True(serial.Read(new TestVcpu(), register, value));
        return value[0];
    }

    private byte Read(ulong register) => Read(_serial, register);

    private void Write(ulong register, byte value, int vcpu = 0) => Assert.True(_serial.Write(new TestVcpu(vcpu), register, [value]));

    private sealed class Line : ISerialLine
    {
        public List<(int Vcpu, byte Value)> Sent { get; } = [];

        public void Send(int vcpu, byte value) => Sent.Add((vcpu, value));
    }
}
