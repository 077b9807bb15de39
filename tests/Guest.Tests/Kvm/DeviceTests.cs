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
    public void The_console_keeps_the_last_bytes()
    {
        var ring = new ConsoleRing(8);
        ring.Write("abc"u8);
        Assert.Equal("abc", Read(ring, 0, out long from));
        Assert.Equal(0, from);
        ring.Write("defghij"u8);
        Assert.Equal(10, ring.Written);
        Assert.Equal("defghij", Read(ring, 3, out from));
        Assert.Equal(3, from);
        Assert.Equal("cdefghij", Read(ring, 0, out from));
        Assert.Equal(2, from);
        Assert.Equal("cde", Encoding.ASCII.GetString(ring.Read(0, 3, out _)));
        Assert.Equal("", Read(ring, 10, out _));
        Assert.Equal("", Read(ring, long.MaxValue, out _));
        Assert.Equal("cdefghij", Read(ring, -5, out _));
    }

    /// <summary>Against the whole of what was written: whoever reads, here or on the next host, gets what is kept and no more.</summary>
    [Fact]
    public void The_console_is_the_end_of_all_that_was_written_on_whatever_host()
    {
        Prop.ForAll<byte[][], PositiveInt>((writes, capacity) =>
        {
            int size = 1 + (capacity.Get % 40);
            var ring = new ConsoleRing(size);
            var all = new List<byte>();
            int lost = 0;
            foreach (byte[] write in writes)
            {
                ring.Write(write);
                all.AddRange(write);
                if (write.Length % 3 == 0)
                {
                    // Some of what is kept may stay behind.
                    (long written, byte[] tail) = ring.Save();
                    tail = tail[(tail.Length * (write.Length % 2) / 2)..];
                    lost = all.Count - tail.Length;
                    ring = new ConsoleRing(size);
                    ring.Write("something else"u8);
                    ring.Load(written, tail);
                }

                int first = Math.Max(all.Count - size, lost);
                for (int offset = 0; offset <= all.Count; offset++)
                {
                    byte[] read = ring.Read(offset, 7, out long from);
                    if (from != Math.Max(offset, first) || !read.SequenceEqual(all.Skip((int)from).Take(7)))
                    {
                        return false;
                    }
                }
            }

            return ring.Written == all.Count;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(2, 3)]
    [InlineData(100, 9)]
    [InlineData(-1, 0)]
    public void The_console_refuses_what_cannot_be_the_end_of_so_much(long written, int tail)
    {
        var ring = new ConsoleRing(8);
        ring.Write("abc"u8);
        Assert.Throws<ArgumentException>(() => ring.Load(written, new byte[tail]));
        Assert.Equal("abc", Read(ring, 0, out _));
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

    private static string Read(ConsoleRing ring, long offset, out long from) =>
        Encoding.ASCII.GetString(ring.Read(offset, int.MaxValue, out from));
}
