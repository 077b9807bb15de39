using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Kvm;
using MigrationD.Guest.Pulse;

namespace MigrationD.Guest.Tests.Kvm;

public sealed class DeviceTests
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

    [Fact]
    public void A_report_line_is_read_back()
    {
        Prop.ForAll<ulong, ulong, ulong>((steps, sweeps, gap) =>
        {
            var expected = new PulseReportLine(3, (long)(steps >> 1), (long)(sweeps >> 1), 0, (long)(gap >> 1));
            byte[] line = Encoding.ASCII.GetBytes($"pulse vcpu=3 steps={steps >> 1:x} sweeps={sweeps >> 1:x} corrupt=0 gap={gap >> 1:x}");
            return PulseReportLine.TryParse(line, out PulseReportLine report) && report == expected;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("")]
    [InlineData("hello")]
    [InlineData("pulse vcpu=0 steps=1 sweeps=0 corrupt=0 gap=")]
    [InlineData("pulse vcpu=0 steps=1 sweeps=0 corrupt=0 gap=1 ")]
    [InlineData("pulse vcpu=0 steps= sweeps=0 corrupt=0 gap=1")]
    [InlineData("pulse vcpu=0 steps=10000000000000000 sweeps=0 corrupt=0 gap=1")]
    [InlineData("pulse vcpu=0 steps=ffffffffffffffff sweeps=0 corrupt=0 gap=1")]
    public void Anything_else_is_no_report(string line) =>
        Assert.False(PulseReportLine.TryParse(Encoding.ASCII.GetBytes(line), out _));
}
