using MigrationD.Daemon.Threading;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// The fault thread: reads userfaults and asks the source for each page that somebody waits for, over whichever urgent lane there is. It
/// outlives lanes: what nobody could be asked for is asked for when the next lane opens.
/// </summary>
internal sealed class FaultRequester(IIncomingMemory incoming, ILogger logger)
{
    // As many as a busy guest can have open at once; one read takes them all.
    private const int FaultsARead = 64;

    // Taken by the fault thread for each batch, and by a lane's thread when it opens; never while a page is placed.
    private readonly Lock _asking = new();
    private LaneCall? _lane;

    /// <summary>Runs until the faults are stopped.</summary>
    /// <exception cref="Exception">The userfaultfd is broken. Who waits for a page goes on waiting; nothing is unregistered.</exception>
    public void Run()
    {
        UrgentThread.Raise(logger);
        var faults = new PageFault[FaultsARead];
        int count;
        while ((count = incoming.WaitFaults(faults)) > 0)
        {
            lock (_asking)
            {
                TryAsk(faults.AsSpan(0, count));
            }
        }
    }

    /// <summary>Asks over this lane from now on, and again for every page that has been asked for and has not come.</summary>
    public void Use(LaneCall lane)
    {
        lock (_asking)
        {
            _lane = lane;
            // A fault that was opened before this lock was taken is in the ledger; one that is opened later finds the lane.
            TryAsk([.. incoming.OpenFaults()]);
        }
    }

    private void TryAsk(ReadOnlySpan<PageFault> faults)
    {
        if (_lane is not { } lane)
        {
            return;
        }

        Span<byte> request = stackalloc byte[PageRequestCodec.MaxBytes];
        try
        {
            foreach (PageFault fault in faults)
            {
                int length = PageRequestCodec.Encode(new PageAddress(0, (ulong)fault.Page), request);
                incoming.RecordRequest(fault.Page);
                lane.Write(request[..length]);
            }
        }
        catch (LaneException)
        {
            // The thread that receives on this lane sees the loss as well, and reports it.
            _lane = null;
        }
    }
}
