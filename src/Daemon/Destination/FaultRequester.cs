using Microsoft.Extensions.Logging;
using MigrationD.Daemon.Threading;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Pages;

namespace MigrationD.Daemon.Destination;

/// <summary>The fault thread: reads userfaults and asks the source for each page that somebody waits for.</summary>
internal sealed class FaultRequester(IncomingMemory incoming, LaneCall lane, ILogger logger)
{
    // As many as a busy guest can have open at once; one read takes them all.
    private const int FaultsARead = 64;

    /// <summary>Runs until the faults are stopped.</summary>
    /// <exception cref="LaneException">The lane broke. Whoever waits for a page goes on waiting; nothing is unregistered.</exception>
    public void Run()
    {
        UrgentThread.Raise(logger);
        var faults = new PageFault[FaultsARead];
        Span<byte> request = stackalloc byte[PageRequestCodec.MaxBytes];
        int count;
        while ((count = incoming.WaitFaults(faults)) > 0)
        {
            for (int i = 0; i < count; i++)
            {
                int length = PageRequestCodec.Encode(new PageAddress(0, (ulong)faults[i].Page), request);
                lane.Write(request[..length]);
            }
        }
    }
}
