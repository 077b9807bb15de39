using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Tests.Programs.Pulse;

public sealed class PulseReportLineTests
{
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
