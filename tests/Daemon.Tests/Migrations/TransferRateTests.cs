using System.Diagnostics;
using MigrationD.Daemon.Migrations;

namespace MigrationD.Daemon.Tests.Migrations;

public sealed class TransferRateTests
{
    [Fact]
    public void It_is_that_of_the_time_between_two_looks()
    {
        var rate = new TransferRate(At(0));
        rate.Observe(50, 5, At(0.1));
        Assert.Equal((0.0, 0.0), (rate.BytesPerSecond, rate.PagesPerSecond));
        rate.Observe(1000, 100, At(0.5));
        Assert.Equal((2000.0, 200.0), (rate.BytesPerSecond, rate.PagesPerSecond));
        rate.Observe(1001, 100, At(0.6));
        Assert.Equal((2000.0, 200.0), (rate.BytesPerSecond, rate.PagesPerSecond));
        rate.Observe(1500, 100, At(1.5));
        Assert.Equal((500.0, 0.0), (rate.BytesPerSecond, rate.PagesPerSecond));
    }

    [Fact]
    public void At_the_end_it_is_that_of_the_whole()
    {
        var rate = new TransferRate(At(0));
        rate.Observe(1000, 100, At(0.5));
        rate.Conclude(3000, 300, TimeSpan.FromSeconds(3));
        Assert.Equal((1000.0, 100.0), (rate.BytesPerSecond, rate.PagesPerSecond));
        rate.Conclude(3000, 300, TimeSpan.Zero);
        Assert.Equal((0.0, 0.0), (rate.BytesPerSecond, rate.PagesPerSecond));
    }

    [Fact]
    public void Counts_that_go_back_are_no_negative_rate()
    {
        var rate = new TransferRate(At(0));
        rate.Observe(1000, 100, At(1));
        rate.Observe(900, 90, At(2));
        Assert.Equal((0.0, 0.0), (rate.BytesPerSecond, rate.PagesPerSecond));
    }

    private static long At(double seconds) => 1_000_000 + (long)(seconds * Stopwatch.Frequency);
}
