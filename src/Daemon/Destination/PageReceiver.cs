using System.Diagnostics;
using Google.Protobuf;
using MigrationD.Daemon.Hosting;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Grpc.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Receives the pages of one lane on the lane's own thread: straight from the socket into staging, and from there with one ioctl to where
/// they belong.
/// </summary>
internal sealed class PageReceiver(LaneCall lane, IncomingMemory incoming, PagePlacer placer, PagePath path, Action allPagesReceived)
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(100);

    private long _reportedAt = Stopwatch.GetTimestamp();

    /// <summary>Receives until the source has nothing more to send.</summary>
    /// <exception cref="LaneException">The lane broke, or the source sent what does not fit this guest.</exception>
    public void Run()
    {
        while (lane.TryReadMessage(out _))
        {
            PageRunHeader run = PageRunCodec.ReadHeader(lane);
            RefuseUnlessInside(run);
            if (run.IsZero)
            {
                placer.PlaceZeros((long)run.FirstPage, run.PageCount, path);
            }
            else
            {
                lane.Read(placer.Stage((long)run.FirstPage, (int)run.PageCount));
                placer.Place((long)run.FirstPage, (int)run.PageCount, path);
                if (run.IsHuge)
                {
                    incoming.NoteHuge((long)run.FirstPage / GuestPage.PerBlock);
                }
            }

            FaultInjection.At("destination.first-page");
            if (incoming.Received.IsComplete)
            {
                allPagesReceived();
            }

            // After the waiting thread has its page, not before.
            placer.Refill();
            ReportNowAndThen();
        }
    }

    private void RefuseUnlessInside(in PageRunHeader run)
    {
        long pages = incoming.Memory.PageCount;
        if (run.RamBlock != 0 || run.FirstPage >= (ulong)pages || run.PageCount > (ulong)pages - run.FirstPage)
        {
            throw lane.Refuse(
                GrpcStatusCode.OutOfRange,
                $"the source sent pages {run.FirstPage} to {run.FirstPage + run.PageCount} of RAM block {run.RamBlock}; "
                + $"this guest has {pages} pages in block 0");
        }
    }

    private void ReportNowAndThen()
    {
        if (path != PagePath.Push || Stopwatch.GetElapsedTime(_reportedAt) < ReportInterval)
        {
            return;
        }

        _reportedAt = Stopwatch.GetTimestamp();
        var report = new PushReport
        {
            PagesReceived = (ulong)incoming.Received.Count,
            Placement = PlacementMessages.ToMessage(incoming.Snapshot()),
        };
        lane.Write(report.ToByteArray());
    }
}
