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
        ledger.Close(3, 1, Stopwatch.GetTimestamp());

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
        ledger.Close(0, 4, Stopwatch.GetTimestamp());

        Assert.Equal([new PageFault(4, 79)], ledger.OpenFaults());
        Assert.Equal((1, 1), (ledger.OpenCount, ledger.Latency.Snapshot().Count));
    }

    [Fact]
    public void The_parts_of_a_wait_add_up_to_it()
    {
        var received = new ReceivedPages(10);
        var ledger = new FaultLedger(received);
        Assert.Equal(FaultOutcome.Request, ledger.Open(3, 77));
        ledger.RecordRequest(3);
        ledger.RecordRequest(3);
        ledger.RecordRequest(4);
        long arrived = Stopwatch.GetTimestamp();
        _ = received.Mark(3, 1);
        ledger.Close(3, 1, arrived);

        double parts = ledger.Queue.Snapshot().Max + ledger.Network.Snapshot().Max + ledger.Place.Snapshot().Max;
        Assert.Equal(ledger.Latency.Snapshot().Max, parts, 0.005);
        Assert.Equal((1, 1, 1), (ledger.Queue.Snapshot().Count, ledger.Network.Snapshot().Count, ledger.Place.Snapshot().Count));
        Assert.True(ledger.Network.Snapshot().Max > 0);
    }

    [Fact]
    public void Nobody_waits_for_the_network_when_the_bytes_were_there_before_the_fault()
    {
        var received = new ReceivedPages(10);
        var ledger = new FaultLedger(received);
        long arrived = Stopwatch.GetTimestamp();
        Assert.Equal(FaultOutcome.Request, ledger.Open(3, 77));
        ledger.RecordRequest(3);
        _ = received.Mark(3, 1);
        ledger.Close(3, 1, arrived);

        Assert.Equal((0.0, 0.0), (ledger.Queue.Snapshot().Max, ledger.Network.Snapshot().Max));
        Assert.Equal(ledger.Latency.Snapshot().Max, ledger.Place.Snapshot().Max);
    }

    [Fact]
    public void Waits_are_the_vCPUs_or_the_others()
    {
        var received = new ReceivedPages(10);
        var ledger = new FaultLedger(received);
        ledger.SetVcpus([77, 78]);
        Assert.Equal(FaultOutcome.Request, ledger.Open(3, 77));
        Assert.Equal(FaultOutcome.Repeated, ledger.Open(3, 78));
        Assert.Equal(FaultOutcome.Request, ledger.Open(4, 5));
        _ = received.Mark(3, 2);
        ledger.Close(3, 2, Stopwatch.GetTimestamp());

        Assert.Equal([1, 1], ledger.Vcpus.Snapshot().Select(vcpu => vcpu.Faults));
        Assert.Equal(1, ledger.Others.Faults);
        Assert.True(ledger.Others.Blocktime < ledger.Blocktime, "the wait of a vCPU is among the others'");
    }

    [Fact]
    public void No_entry_stays_open_behind_the_back_of_a_placer()
    {
        // Both sides meet before every page, so that they are at it at the same moment; whichever is first, nothing may stay open.
        const int Pages = 100_000;
        var received = new ReceivedPages(Pages);
        var ledger = new FaultLedger(received);
        ledger.SetVcpus([1]);
        long requested = 0;
        long faultThreadAt = -1;
        long placerAt = -1;
        var faults = new TestThread("fault thread", () =>
        {
            for (long page = 0; page < Pages; page++)
            {
                Meet(ref faultThreadAt, page, ref placerAt);
                requested += ledger.Open(page, 1) == FaultOutcome.Request ? 1 : 0;
                ledger.RecordRequest(page);
            }
        });
        var placer = new TestThread("placer", () =>
        {
            for (long page = 0; page < Pages; page++)
            {
                Meet(ref placerAt, page, ref faultThreadAt);
                _ = received.Mark(page, 1);
                ledger.Close(page, 1, Stopwatch.GetTimestamp());
            }
        });
        faults.Join();
        placer.Join();

        Assert.Equal(0, ledger.OpenCount);
        Assert.Empty(ledger.OpenFaults());
        Assert.True(ledger.Latency.Snapshot().Count >= requested, "a request was not closed");
        Assert.Equal(0, ledger.Vcpus.Waiting);
        Assert.True(ledger.Vcpus.Snapshot()[0].Faults >= requested, "a wait of the vCPU was not closed");
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
