using Google.Protobuf;
using MigrationD.Daemon.Faults;
using MigrationD.Daemon.Figures;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Destination;

/// <summary>
/// Receives the pages of one lane on the lane's own thread: straight from the socket into staging, and from there with one ioctl to where
/// they belong.
/// </summary>
internal sealed class PageReceiver(LaneCall lane, IPagePlacer placer, ArrivingPages arriving) : IDisposable
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(100);

    private readonly IIncomingMemory _memory = arriving.Memory;
    private readonly IncomingPrecopy? _precopy = arriving.Precopy;
    private readonly PagePath _path = arriving.Path;
    private readonly ConfirmedBlocks _confirmed = new(arriving.Memory.Received);
    private PageUnpacker? _unpacker;
    private byte[] _packed = [];
    private long _reportedAt = arriving.Time.GetTimestamp();
    private uint _marks;
    private bool _precopyEnded;

    /// <summary>Receives until the source has nothing more to send.</summary>
    /// <exception cref="LaneException">The lane broke, or the source sent what does not fit this guest.</exception>
    public void Run()
    {
        while (lane.TryReadMessage(out _))
        {
            PageRunHeader run = PageRunCodec.ReadHeader(lane);
            if (run.Mark != PrecopyMark.None)
            {
                Note(run.Mark);
                continue;
            }

            RefuseUnlessInside(run);
            if (_precopy is { IsOver: false })
            {
                RefuseAfterEnd();
                Replace(run);
            }
            else
            {
                Place(run);
            }

            FaultInjection.At("destination.first-page");
            if (_memory.Received.IsComplete && _precopy is not { IsOver: false })
            {
                arriving.AllReceived();
            }

            // After the waiting thread has its page, not before.
            placer.Refill();
            ReportNowAndThen();
        }
    }

    public void Dispose() => _unpacker?.Dispose();

    private void Place(in PageRunHeader run)
    {
        if (run.IsZero)
        {
            placer.PlaceZeros((long)run.FirstPage, run.PageCount, _path);
            return;
        }

        Stage(run);
        placer.Place((long)run.FirstPage, (int)run.PageCount, _path);
    }

    /// <summary>Replaces pages, before the guest has run: what comes again is newer.</summary>
    private void Replace(in PageRunHeader run)
    {
        if (run.IsZero)
        {
            placer.ReplaceByZeros((long)run.FirstPage, run.PageCount, _path);
            return;
        }

        Stage(run);
        placer.Replace((long)run.FirstPage, (int)run.PageCount, _path);
    }

    private void Stage(in PageRunHeader run)
    {
        Span<byte> pages = placer.Stage((long)run.FirstPage, (int)run.PageCount);
        if (run.IsPacked)
        {
            Unpack(run, pages);
        }
        else
        {
            lane.Read(pages);
        }

        if (run.IsHuge)
        {
            _memory.MarkHuge((long)run.FirstPage / GuestPage.PerBlock);
        }
    }

    private void Unpack(in PageRunHeader run, Span<byte> pages)
    {
        if (run.Compression != arriving.Agreed)
        {
            throw lane.Refuse(
                Because.Invalid,
                $"the source sent pages packed as {Words.Of(run.Compression)}, and "
                + (_path == PagePath.Urgent
                    ? "on the urgent lane they come as they are"
                    : $"this session has agreed on {Words.Of(arriving.Agreed)}"));
        }

        _unpacker ??= new PageUnpacker(arriving.Agreed);
        // Never more than a block: what is packed is shorter than the pages.
        _packed = _packed.Length == 0 ? GC.AllocateUninitializedArray<byte>(GuestPage.BlockSize) : _packed;
        Span<byte> packed = _packed.AsSpan(0, run.PackedLength);
        lane.Read(packed);
        if (!_unpacker.TryUnpack(packed, pages))
        {
            throw lane.Refuse(
                Because.Invalid,
                $"the source sent {packed.Length} bytes that do not unpack to {run.PageCount} pages by {Words.Of(arriving.Agreed)}");
        }
    }

    private void Note(PrecopyMark mark)
    {
        if (_precopy is null || _precopyEnded)
        {
            throw lane.Refuse(
                Because.NotNow, $"the source sent {mark} where there is no precopy, or it is over already");
        }

        _marks++;
        if (mark == PrecopyMark.PrecopyEnded)
        {
            _precopyEnded = true;
            _precopy.LaneEnded();
        }

        Report();
    }

    private void RefuseUnlessInside(in PageRunHeader run)
    {
        long pages = _memory.Memory.PageCount;
        if (run.RamBlock != 0 || run.FirstPage >= (ulong)pages || run.PageCount > (ulong)pages - run.FirstPage)
        {
            throw lane.Refuse(
                Because.OutOfRange,
                $"the source sent pages {run.FirstPage} to {run.FirstPage + run.PageCount} of RAM block {run.RamBlock}; "
                + $"this guest has {pages} pages in block 0");
        }
    }

    /// <summary>Refuses pages while only other lanes may replace what is here: the guest may be about to run.</summary>
    private void RefuseAfterEnd()
    {
        if (_precopyEnded)
        {
            throw lane.Refuse(Because.NotNow, "the source sent pages after the end of precopy, before that of its other lanes");
        }
    }

    private void ReportNowAndThen()
    {
        if (_path != PagePath.Push || arriving.Time.GetElapsedTime(_reportedAt) < ReportInterval)
        {
            return;
        }

        Report();
    }

    private void Report()
    {
        _reportedAt = arriving.Time.GetTimestamp();
        var report = new PushReport
        {
            PagesReceived = (ulong)_memory.Received.Count,
            Placement = MigrationFigures.ToMessage(_memory.Counters),
            Marks = _marks,
        };
        if (arriving.Confirms())
        {
            report.ConfirmedRuns.AddRange(RunList.Pack(_confirmed.TakeNew()));
        }

        lane.Write(report.ToByteArray());
    }
}

/// <summary>What the pages of one kind of lane come to.</summary>
/// <param name="Memory">The memory that they are of.</param>
/// <param name="Path">Which way they come.</param>
/// <param name="AllReceived">Called when every page is here; more than once.</param>
internal sealed record ArrivingPages(IIncomingMemory Memory, PagePath Path, Action AllReceived)
{
    /// <summary>Precopy, where they come before the guest, and again; null where they do not.</summary>
    public IncomingPrecopy? Precopy { get; init; }

    /// <summary>How they may be packed.</summary>
    public PageCompression Agreed { get; init; } = PageCompression.None;

    /// <summary>Asked with each report: whether the source is told which blocks are here for good.</summary>
    public Func<bool> Confirms { get; init; } = () => false;

    /// <summary>The clock that reports go by.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
