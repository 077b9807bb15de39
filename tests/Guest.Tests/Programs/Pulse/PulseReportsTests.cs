using System.Text;
using Google.Protobuf;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.State;

namespace MigrationD.Guest.Tests.Programs.Pulse;

public sealed class PulseReportsTests
{
    private const string Zero = "pulse vcpu=0 steps=1f4 sweeps=2 corrupt=0 gap=a3c1\n";
    private const string One = "pulse vcpu=1 steps=2 sweeps=1 corrupt=3 gap=4\n";

    private readonly ConsoleRing _console = new(4096);

    [Fact]
    public void Lines_of_vCPUs_that_write_at_the_same_time_stay_whole()
    {
        var reports = new PulseReports(_console, 2);
        for (int i = 0; i < Zero.Length; i++)
        {
            Send(reports, 0, Zero[i..(i + 1)]);
            Send(reports, 1, i < One.Length ? One[i..(i + 1)] : "");
        }

        Assert.Equal(One + Zero, Written(_console));
        Assert.Equal(
            [new PulseReportLine(0, 0x1F4, 2, 0, 0xA3C1), new PulseReportLine(1, 2, 1, 3, 4)], reports.Last);
    }

    [Fact]
    public void What_was_said_and_what_was_begun_move_with_the_guest()
    {
        var reports = new PulseReports(_console, 2);
        Send(reports, 0, Zero);
        Send(reports, 1, One[..10]);
        var nextConsole = new ConsoleRing(4096);
        var next = new PulseReports(nextConsole, 2);
        ((IDevice)next).Check(((IDevice)reports).Save().ToByteString())();
        Assert.Equal(reports.Last, next.Last);
        Send(next, 1, One[10..]);
        Assert.Equal(One, Written(nextConsole));
    }

    [Fact]
    public void What_is_no_report_is_on_the_console_only()
    {
        var reports = new PulseReports(_console, 2);
        Send(reports, 0, "hello\n");
        Send(reports, 1, Zero);
        Send(reports, 0, new string('x', 300));
        Assert.Equal("hello\n" + Zero + new string('x', 256), Written(_console));
        Assert.Equal([new PulseReportLine(0, 0, 0, 0, 0), new PulseReportLine(1, 0, 0, 0, 0)], reports.Last);
    }

    [Fact]
    public void A_state_that_cannot_be_is_refused()
    {
        IDevice reports = new PulseReports(_console, 2);
        Assert.Throws<GuestStateException>(() => reports.Check(new ReportState { Vcpus = { new VcpuReport() } }.ToByteString()));
        var endless = new VcpuReport { UnfinishedLine = ByteString.CopyFrom(new byte[PulseReportLine.MaxLength]) };
        Assert.Throws<GuestStateException>(() => reports.Check(new ReportState { Vcpus = { new VcpuReport(), endless } }.ToByteString()));
    }

    private static void Send(PulseReports reports, int vcpu, string text)
    {
        foreach (byte value in Encoding.ASCII.GetBytes(text))
        {
            reports.Send(vcpu, value);
        }
    }

    private static string Written(ConsoleRing console) => Encoding.ASCII.GetString(console.Read(0, int.MaxValue, out _));
}
