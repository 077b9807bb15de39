using System.Diagnostics;

namespace MigrationD.Guest.Tests.Userfault;

public sealed class VcpuWaitsTests
{
    private static readonly int[] Threads = [701, 702];

    [Fact]
    public void Each_vCPU_has_its_own_waits_and_both_at_once_are_counted_apart()
    {
        var waits = new VcpuWaits(Threads);
        waits.Open(1, 701, Tick(100));
        waits.Open(2, 702, Tick(200));
        Assert.Equal(2, waits.Waiting);
        waits.Close(1, 1, Tick(300));
        waits.Close(0, 10, Tick(450));

        Assert.Equal([new ThreadWaits(1, Span(200)), new ThreadWaits(1, Span(250))], waits.Snapshot());
        Assert.Equal(Span(100), waits.AllAtOnce);
        Assert.Equal(0, waits.Waiting);
    }

    [Fact]
    public void One_page_ends_the_waits_of_all_who_wait_for_it()
    {
        var waits = new VcpuWaits(Threads);
        waits.Open(5, 701, Tick(0));
        waits.Open(5, 702, Tick(10));
        waits.Close(4, 1, Tick(20));
        Assert.Equal(2, waits.Waiting);
        waits.Close(5, 1, Tick(30));

        Assert.Equal([new ThreadWaits(1, Span(30)), new ThreadWaits(1, Span(20))], waits.Snapshot());
        Assert.Equal(Span(20), waits.AllAtOnce);
    }

    [Fact]
    public void A_fault_that_comes_again_goes_on_with_its_wait_and_one_elsewhere_ends_it()
    {
        var waits = new VcpuWaits(Threads);
        waits.Open(5, 701, Tick(0));
        waits.Open(5, 701, Tick(50));
        waits.Open(6, 701, Tick(80));
        waits.Close(5, 1, Tick(90));
        waits.Close(6, 1, Tick(100));

        Assert.Equal(new ThreadWaits(2, Span(100)), waits.Snapshot()[0]);
        Assert.Equal((0, TimeSpan.Zero), (waits.Waiting, waits.AllAtOnce));
    }

    [Fact]
    public void Threads_that_are_no_vCPUs_are_not_counted()
    {
        var waits = new VcpuWaits(Threads);
        waits.Open(5, 9, Tick(0));
        waits.Close(5, 1, Tick(50));
        Assert.Equal([default, default], waits.Snapshot());
        Assert.False(waits.Has(9));
        Assert.True(waits.Has(702));
    }

    private static long Tick(long microseconds) => (1000 + microseconds) * Stopwatch.Frequency / 1_000_000;

    private static TimeSpan Span(long microseconds) => TimeSpan.FromMicroseconds(microseconds);
}
