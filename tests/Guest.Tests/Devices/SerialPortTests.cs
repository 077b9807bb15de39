using MigrationD.Guest.Devices.Serial;

namespace MigrationD.Guest.Tests.Devices;

public sealed class SerialPortTests
{
    [Fact]
    public void The_serial_port_sends_and_keeps_its_registers()
    {
        var serial = new SerialPort();
        Assert.True(serial.Write(0, (byte)'a'));
        Assert.Equal(0x60, serial.Read(5) & 0x60);

        // 115200 baud, 8N1, as every boot loader sets it up.
        Assert.False(serial.Write(3, 0x80));
        Assert.False(serial.Write(0, 1));
        Assert.False(serial.Write(1, 0));
        Assert.Equal(1, serial.Read(0));
        Assert.False(serial.Write(3, 0x03));
        Assert.False(serial.Write(2, 0xC7));
        Assert.False(serial.Write(4, 0x0B));
        Assert.False(serial.Write(7, 0x5A));
        Assert.Equal(0, serial.Read(0));
        Assert.Equal(0xC1, serial.Read(2));
        Assert.Equal(0x03, serial.Read(3));
        Assert.Equal(0x0B, serial.Read(4));
        Assert.Equal(0x5A, serial.Read(7));

        var second = new SerialPort { State = serial.State };
        Assert.Equal(0xC1, second.Read(2));
        Assert.Equal(0x5A, second.Read(7));
    }
}
