using System.Diagnostics;

namespace MigrationD.Guest.Tests.Userfault;

public sealed class FaultLedgerTests
{
    [Fact]
    public void A_fault_that_is_read_after_its_page_was_placed_is_not_opened()
    {
        var received = new ReceivedPages(10);
        var ledger = new FaultLedger(received);
        _ = received.Mark(3, 1);
        ledger.Close(3, 1);

        Assert.Equal(FaultOutcome.Received, ledger.Open(3, 77));
        Assert.Equal(0, ledger.OpenCount);
        Assert.Empty(ledger.OpenFaults());
    }

    [Fact]
    public void A_page_is_asked_for_once_until_it_has_come()
    {
        var received = new ReceivedPages(10);
        var ledger = new FaultLedger(received);

        Assert.Equal(FaultOutcome.Request, ledger.Open(3, 77));
        Assert.Equal(FaultOutcome.Repeated, ledger.Open(3, 78));
        Assert.Equal(FaultOutcome.Request, ledger.Open(4, 79));
        Assert.Equal([3L, 4L], ledger.OpenFaults().Select(fault => fault.Page));
        Assert.True(ledger.AnyOpen(0, 4));
        Assert.False(ledger.AnyOpen(5, 5));

        _ = received.Mark(0, 4);
        ledger.Close(0, 4);

        Assert.Equal([new PageFault(4, 79)], ledger.OpenFaults());
        Assert.Equal((1, 1), (ledger.OpenCount, ledger.Latency.Snapshot().Count));
    }

    [Fact]
    public void No_entry_stays_open_behind_the_back_of_a_placer()
    {
        // Both sides meet before every page, so that they are at it at the same moment; whichever is first, nothing may stay open.
        const int Pages = 100_000;
        var received = new ReceivedPages(Pages);
        var ledger = new FaultLedger(received);
        long requested = 0;
        long faultThreadAt = -1;
        long placerAt = -1;
        var faults = new TestThread("fault thread", () =>
        {
            for (long page = 0; page < Pages; page++)
            {
                Meet(ref faultThreadAt, page, ref placerAt);
                requested += ledger.Open(page, 1) == FaultOutcome.Request ? 1 : 0;
            }
        });
        var placer = new TestThread("placer", () =>
        {
            for (long page = 0; page < Pages; page++)
            {
                Meet(ref placerAt, page, ref faultThreadAt);
                _ = received.Mark(page, 1);
                ledger.Close(page, 1);
            }
        });
        faults.Join();
        placer.Join();

        Assert.Equal(0, ledger.OpenCount);
        Assert.Empty(ledger.OpenFaults());
        Assert.True(ledger.Latency.Snapshot().Count >= requested, "a request was not closed");
    }

    private static void Meet(ref long mine, long page, ref long other)
    {
        Volatile.Write(ref mine, page);
        long start = Stopwatch.GetTimestamp();
        for (var wait = default(SpinWait); Volatile.Read(ref other) < page; wait.SpinOnce(sleep1Threshold: -1))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TestPages.Deadline, "the other side did not come");
        }
    }
}
