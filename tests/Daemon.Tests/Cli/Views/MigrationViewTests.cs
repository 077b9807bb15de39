using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli.Views;

public sealed class MigrationViewTests
{
    [Theory]
    [InlineData("status", "completed")]
    [InlineData("total-time", "2,500.00 ms")]
    [InlineData("setup-time", "210.50 ms")]
    [InlineData("downtime", "8.25 ms")]
    [InlineData("  transferred", "4.0 MiB")]
    [InlineData("  remaining", "0 B")]
    [InlineData("  total", "4.0 MiB")]
    [InlineData("  duplicate", "100 pages of zeros")]
    [InlineData("  normal", "924 pages")]
    [InlineData("  normal-bytes", "3.6 MiB")]
    [InlineData("  page-size", "4.0 KiB")]
    [InlineData("  mbps", "13.60")]
    [InlineData("  pages-per-second", "410")]
    [InlineData("  postcopy-requests", "26")]
    [InlineData("mode", "hybrid")]
    [InlineData("precopy", "2,000.00 ms, ended as what is left takes 8 ms")]
    [InlineData("  dirty-sync-count", "3")]
    [InlineData("  dirty-pages-rate", "900 pages/s, 1,200 pages/s sent")]
    [InlineData("  precopy-bytes", "976.6 KiB")]
    [InlineData("  downtime-bytes", "195.3 KiB")]
    [InlineData("  postcopy-bytes", "2.9 MiB")]
    [InlineData("pages", "1,024 of 1,024")]
    [InlineData("  lost", "17")]
    [InlineData("  redundant", "1")]
    [InlineData("  prefetch hits", "9")]
    [InlineData("recoveries", "3")]
    [InlineData("placed", "2 huge pages moved whole, 30 pages moved, 4 pages copied, by 8 calls")]
    [InlineData("postcopy-blocktime", "1.50 ms with every vCPU waiting, 12.35 ms summed over all waits")]
    [InlineData("postcopy-vcpu-blocktime", "4.00 ms, 5.00 ms")]
    [InlineData("postcopy-latency", "514 µs")]
    [InlineData("postcopy-vcpu-latency", "400 µs, -")]
    [InlineData("postcopy-non-vcpu-latency", "300 µs, 11 faults of the kernel's threads and of the loading of device state")]
    public void Each_figure_has_its_line(string name, string value)
    {
        var lines = Lines(Samples.Migration());
        Assert.Contains(lines, line => line.StartsWith(name + " ", StringComparison.Ordinal) && line[name.Length..].TrimStart() == value);
    }

    [Fact]
    public void Fault_latency_is_shown_with_what_it_is_made_of()
    {
        var lines = Lines(Samples.Migration());
        Assert.Contains("fault latency, 24 faults: p50 61 µs, p90 90 µs, p99 200 µs, p99.9 300 µs, max 301 µs", lines);
        Assert.Contains("  queue, until the request went to the lane: p50 5 µs, p90 6 µs, p99 7 µs, p99.9 8 µs, max 9 µs", lines);
        Assert.Contains("  network, until the page's bytes had come:  p50 50 µs, p90 60 µs, p99 70 µs, p99.9 80 µs, max 90 µs", lines);
        Assert.Contains("  place, until the page was at its address:  p50 2 µs, p90 3 µs, p99 4 µs, p99.9 5 µs, max 6 µs", lines);
        Assert.Contains("  [    64 us -   128 us ]:          3 ██████", lines);
    }

    [Fact]
    public void What_this_side_does_not_know_is_no_0()
    {
        var migration = Samples.Migration();
        migration.ClearDowntimeUs();
        migration.ClearSetupUs();
        migration.ClearDowntimeBytes();
        migration.Placement = null;
        var lines = Lines(migration);
        string[] unknown =
            ["downtime", "setup-time", "  downtime-bytes", "  postcopy-bytes", "postcopy-latency", "postcopy-vcpu-blocktime"];
        foreach (var name in unknown)
        {
            Assert.Contains(lines, line => line.StartsWith(name + " ", StringComparison.Ordinal) && line[name.Length..].Trim() == "-");
        }

        using var console = new RecordedConsole(width: 200);
        MigrationView.WriteList(console.Ansi, [migration]);
        Assert.EndsWith(" -", console.Lines[1], StringComparison.Ordinal);
    }

    private static string[] Lines(Migration migration)
    {
        using var console = new RecordedConsole(width: 200);
        MigrationView.Write(console.Ansi, migration);
        return console.Lines;
    }
}
