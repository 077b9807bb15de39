using MigrationD.Daemon.Cli.Views;

namespace MigrationD.Daemon.Tests.Cli.Views;

public sealed class LatencyChartTests
{
    [Fact]
    public void It_shows_every_bucket_between_the_first_and_the_last_with_something_in_it()
    {
        Assert.Empty(LatencyChart.Lines([]));
        Assert.Empty(LatencyChart.Lines([0, 0]));
        var lines = LatencyChart.Lines([0, 1, 0, 80, 0]).ToArray();
        Assert.Equal(
            [
                "[     2 us -     4 us ]:          1 █",
                "[     4 us -     8 us ]:          0",
                "[     8 us -    16 us ]:         80 " + new string('█', 40),
            ],
            lines);
    }

    [Fact]
    public void Times_are_those_of_QEMU()
    {
        // QEMU's 24 buckets, as its monitor labels them.
        string[] borders =
        [
            "1 us", "2 us", "4 us", "8 us", "16 us", "32 us", "64 us", "128 us", "256 us", "512 us", "1 ms", "2 ms", "4 ms", "8 ms",
            "16 ms", "32 ms", "65 ms", "131 ms", "262 ms", "524 ms", "1 sec", "2 sec", "4 sec", "8 sec", "16 sec",
        ];
        Assert.Equal(
            borders.Zip(borders.Skip(1), (from, to) => $"[ {from,8} - {to,8} ]:          1"),
            LatencyChart.Lines([.. Enumerable.Repeat(1UL, 24)]).Select(line => line[..35]));
    }
}
