using Google.Protobuf;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class PageReceiverTests : IDisposable
{
    private const int Block = GuestPage.PerBlock;

    private readonly ScriptedMemory _memory = ScriptedMemory.Map(blocks: 2);
    private int _allReceived;

    public void Dispose() => _memory.Memory.Dispose();

    // ---- pages

    [Theory]
    [InlineData(PagePath.Urgent)]
    [InlineData(PagePath.Push)]
    public void Pages_are_received_into_the_staging_and_placed(PagePath path)
    {
        using var scene = new Scene(_memory, Arriving(path));
        scene.Send(Pages(3, 2));
        scene.End();
        Assert.Equal(["stage 3+2", $"place 3+2 {path}", "refill"], _memory.Calls);
        Assert.Equal(Content(3, 2), Read(3, 2));
        Assert.Equal((2L, 0), (_memory.Received.Count, _allReceived));
        Assert.Empty(_memory.HugeBlocks());
    }

    [Fact]
    public void Zeros_come_without_content_over_any_number_of_blocks()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(Zeros(5, 1000));
        scene.End();
        Assert.Equal(["zeros 5+1000 Push", "refill"], _memory.Calls);
    }

    [Fact]
    public void Block_that_was_one_huge_page_is_noted()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        PageRun huge = Pages(Block + 7, 1);
        huge.Huge = true;
        scene.Send(huge);
        scene.Send(Pages(0, 1));
        scene.End();
        Assert.Equal([1L], _memory.HugeBlocks());
    }

    [Theory]
    [InlineData(PagePath.Urgent)]
    [InlineData(PagePath.Push)]
    public void Last_page_is_told_of_before_the_staging_is_refilled_and_each_page_after_it_as_well(PagePath path)
    {
        int refills = 0;
        var when = new List<int>();
        _memory.OnCall = call => refills += call == "refill" ? 1 : 0;
        using var scene = new Scene(_memory, new ArrivingPages(_memory, path, () => when.Add(refills)));
        scene.Send(Zeros(1, (2 * Block) - 1));
        scene.Send(Pages(0, 1));
        scene.Send(Pages(9, 1));
        scene.End();
        Assert.Equal([1, 2], when);
    }

    [Fact]
    public void Memory_that_cannot_take_a_page_ends_the_lane()
    {
        _memory.OnCall = call =>
        {
            if (call.StartsWith("place", StringComparison.Ordinal))
            {
                throw new InvalidOperationException("EINVAL");
            }
        };
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(Pages(0, 1));
        Assert.Equal("EINVAL", Assert.IsType<InvalidOperationException>(scene.Ended()).Message);
    }

    [Fact]
    public void Source_that_is_cut_off_ends_the_lane()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(Pages(0, 1));
        scene.Call.Abort("cut");
        Assert.IsType<LaneException>(scene.Ended());
    }

    // ---- what does not fit

    [Theory]
    [InlineData(1u, 0ul, 1u)]
    [InlineData(0u, 2ul * Block, 1u)]
    [InlineData(0u, (2ul * Block) - 1, 2u)]
    [InlineData(0u, 0ul, (2u * Block) + 1)]
    [InlineData(0u, ulong.MaxValue - 1, 1u)]
    public void Pages_that_the_guest_does_not_have_are_refused(uint ramBlock, ulong first, uint count)
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(new PageRun { RamBlock = ramBlock, FirstPage = first, PageCount = count, Zero = true });
        scene.AssertRefused(
            Because.OutOfRange,
            $"the source sent pages {first} to {first + count} of RAM block {ramBlock}; this guest has 1024 pages in block 0");
        Assert.Empty(_memory.Calls);
    }

    [Fact]
    public void Last_page_of_the_guest_and_all_of_it_are_inside()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(Pages((2 * Block) - 1, 1));
        scene.Send(Zeros(0, 2 * Block));
        scene.End();
        Assert.True(_memory.Received.IsComplete);
    }

    [Fact]
    public void Message_that_is_no_run_ends_the_lane()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Call.Write([0xff]);
        scene.AssertRefused(Because.Invalid, "");
    }

    // ---- packed pages

    [Theory]
    [InlineData(PageCompression.Zstd)]
    [InlineData(PageCompression.Brotli)]
    public void Packed_pages_are_unpacked_where_they_belong(PageCompression compression)
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Agreed = compression });
        scene.Send(Packed(compression, 0, Block));
        scene.Send(Packed(compression, Block + 3, 2));
        scene.Send(Pages(Block, 1));
        scene.End();
        Assert.Equal(Content(0, Block), Read(0, Block));
        Assert.Equal(Content(Block + 3, 2), Read(Block + 3, 2));
        Assert.Equal(Content(Block, 1), Read(Block, 1));
    }

    [Theory]
    [InlineData(PagePath.Push, PageCompression.Brotli, "this session has agreed on brotli")]
    [InlineData(PagePath.Push, PageCompression.None, "this session has agreed on none")]
    [InlineData(PagePath.Urgent, PageCompression.None, "on the urgent lane they come as they are")]
    public void Pages_packed_in_a_way_that_was_not_agreed_on_are_refused(PagePath path, PageCompression agreed, string why)
    {
        using var scene = new Scene(_memory, Arriving(path) with { Agreed = agreed });
        scene.Send(Packed(PageCompression.Zstd, 0, 4));
        scene.AssertRefused(Because.Invalid, $"the source sent pages packed as zstd, and {why}");
        Assert.Equal(0, _memory.Received.Count);
    }

    [Fact]
    public void Bytes_that_do_not_unpack_to_the_pages_are_refused()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Agreed = PageCompression.Zstd });
        PageRun packed = Packed(PageCompression.Zstd, 0, 4);
        packed.PageCount = 3;
        scene.Send(packed);
        scene.AssertRefused(
            Because.Invalid, $"the source sent {packed.Data.Length} bytes that do not unpack to 3 pages by zstd");
        Assert.Equal(0, _memory.Received.Count);
    }

    // ---- precopy

    [Fact]
    public void Pages_of_precopy_replace_those_that_are_here()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Precopy = Precopy(lanes: 1) });
        scene.Send(Pages(3, 1));
        scene.Send(Pages(3, 1, salt: 9));
        scene.Send(Zeros(4, 2));
        scene.End();
        Assert.Equal(
            [
                "stage 3+1", "replace 3+1 Push", "refill", "stage 3+1", "replace 3+1 Push", "refill",
                "forget 4+2", "zeros 4+2 Push", "refill",
            ],
            _memory.Calls);
        Assert.Equal(Content(3, 1, salt: 9), Read(3, 1));
    }

    [Fact]
    public void Mark_is_answered_at_once_and_pages_after_the_last_one_replace_nothing()
    {
        IncomingPrecopy precopy = Precopy(lanes: 1);
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Precopy = precopy });
        scene.Send(Pages(0, 1));
        scene.Send(new PageRun { Mark = PrecopyMark.RoundEnded });
        PushReport report = scene.Call.Receive<PushReport>();
        Assert.Equal((1u, 1ul, false), (report.Marks, report.PagesReceived, precopy.IsOver));
        scene.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        Assert.Equal((2u, true), (scene.Call.Receive<PushReport>().Marks, precopy.IsOver));
        scene.Send(Pages(0, 1, salt: 9));
        scene.End();
        Assert.Equal("place 0+1 Push", _memory.Calls[^2]);
        Assert.Equal(Content(0, 1), Read(0, 1));
    }

    [Fact]
    public void Every_page_is_here_only_when_precopy_is_over()
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Precopy = Precopy(lanes: 1) });
        scene.Send(Zeros(0, 2 * Block));
        scene.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        scene.Call.Receive<PushReport>();
        Assert.Equal(0, _allReceived);
        scene.Send(Pages(0, 1));
        scene.End();
        Assert.Equal(1, _allReceived);
    }

    [Theory]
    [InlineData(PrecopyMark.RoundEnded)]
    [InlineData(PrecopyMark.PrecopyEnded)]
    public void Mark_without_precopy_is_refused(PrecopyMark mark)
    {
        using var scene = new Scene(_memory, Arriving(PagePath.Push));
        scene.Send(new PageRun { Mark = mark });
        scene.AssertRefused(Because.NotNow, $"the source sent {mark} where there is no precopy, or it is over already");
    }

    [Theory]
    [InlineData(PrecopyMark.RoundEnded)]
    [InlineData(PrecopyMark.PrecopyEnded)]
    public void Mark_after_the_last_one_is_refused_and_counts_nothing(PrecopyMark mark)
    {
        IncomingPrecopy precopy = Precopy(lanes: 2);
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Precopy = precopy });
        scene.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        scene.Call.Receive<PushReport>();
        scene.Send(new PageRun { Mark = mark });
        scene.AssertRefused(Because.NotNow, $"the source sent {mark} where there is no precopy, or it is over already");
        Assert.False(precopy.IsOver);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Lane_that_has_ended_precopy_waits_for_the_others(bool otherHasEnded)
    {
        IncomingPrecopy precopy = Precopy(lanes: 2);
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Precopy = precopy });
        scene.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        scene.Call.Receive<PushReport>();
        if (otherHasEnded)
        {
            precopy.LaneEnded();
        }

        scene.Send(Pages(0, 1));
        if (otherHasEnded)
        {
            scene.End();
            Assert.Contains("place 0+1 Push", _memory.Calls);
            return;
        }

        scene.AssertRefused(Because.NotNow, "the source sent pages after the end of precopy, before that of its other lanes");
        Assert.Empty(_memory.Calls);
    }

    // ---- reports

    [Theory]
    [InlineData(PagePath.Push, 99, 0)]
    [InlineData(PagePath.Push, 100, 1)]
    [InlineData(PagePath.Urgent, 1000, 0)]
    public void Pushed_pages_are_reported_ten_times_a_second(PagePath path, int milliseconds, int reports)
    {
        var clock = new ManualClock();
        using var scene = new Scene(_memory, Arriving(path) with { Time = clock });
        clock.Advance(TimeSpan.FromMilliseconds(milliseconds));
        scene.Send(Pages(0, 1));
        scene.Send(Pages(1, 1));
        Assert.Equal(Enumerable.Repeat(1ul, reports), scene.End().Select(report => report.PagesReceived));
    }

    [Fact]
    public void Mark_counts_as_a_report()
    {
        var clock = new ManualClock();
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Time = clock, Precopy = Precopy(lanes: 1) });
        clock.Advance(TimeSpan.FromMilliseconds(100));
        scene.Send(new PageRun { Mark = PrecopyMark.RoundEnded });
        scene.Send(Pages(0, 1));
        Assert.Single(scene.End());
    }

    [Fact]
    public void Report_has_what_the_placing_has_counted()
    {
        var clock = new ManualClock();
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Time = clock });
        scene.Send(Zeros(10, 5));
        scene.Send(Pages(0, 2));
        LanePeer.Until(() => _memory.Received.Count == 7, "7 pages");
        clock.Advance(TimeSpan.FromMilliseconds(100));
        scene.Send(Pages(2, 1));
        // The second of them may have waited for the clock as well.
        PushReport report = scene.End().Single();
        Assert.Equal(report.PagesReceived, report.Placement.PagesPush + report.Placement.PagesZero);
        Assert.Equal((5ul, 0u), (report.Placement.PagesZero, report.Marks));
        Assert.Empty(report.ConfirmedRuns);
    }

    [Fact]
    public void Blocks_that_are_whole_are_confirmed_once_and_from_when_they_are_to_be()
    {
        bool confirms = false;
        var clock = new ManualClock();
        using var scene = new Scene(_memory, Arriving(PagePath.Push) with { Time = clock, Confirms = () => Volatile.Read(ref confirms) });
        PushReport Report(PageRun run)
        {
            clock.Advance(TimeSpan.FromMilliseconds(100));
            scene.Send(run);
            return scene.Call.Receive<PushReport>();
        }

        Assert.Empty(Report(Zeros(0, Block)).ConfirmedRuns);
        Volatile.Write(ref confirms, true);
        Assert.Equal([0, 1], Report(Zeros(Block, Block - 1)).ConfirmedRuns);
        Assert.Empty(Report(Zeros(0, 1)).ConfirmedRuns);
        Assert.Equal([1, 1], Report(Pages((2 * Block) - 1, 1)).ConfirmedRuns);
        scene.End();
    }

    private static byte[] Content(long first, int count, byte salt = 1)
    {
        byte[] bytes = new byte[count * GuestPage.Size];
        for (int i = 0; i < count; i++)
        {
            bytes.AsSpan(i * GuestPage.Size, GuestPage.Size).Fill((byte)(((first + i) % 251) + salt));
        }

        return bytes;
    }

    private static PageRun Pages(long first, int count, byte salt = 1) => new()
    {
        FirstPage = (ulong)first,
        PageCount = (uint)count,
        Data = UnsafeByteOperations.UnsafeWrap(Content(first, count, salt)),
    };

    private static PageRun Zeros(ulong first, uint count) => new() { FirstPage = first, PageCount = count, Zero = true };

    private static PageRun Packed(PageCompression compression, long first, int count)
    {
        using var packer = new PagePacker(compression);
        byte[] packed = new byte[count * GuestPage.Size];
        int length = packer.Pack(Content(first, count), packed);
        Assert.NotEqual(0, length);
        return new PageRun
        {
            FirstPage = (ulong)first,
            PageCount = (uint)count,
            Compression = compression,
            Data = ByteString.CopyFrom(packed, 0, length),
        };
    }

    private ArrivingPages Arriving(PagePath path) => new(_memory, path, () => Interlocked.Increment(ref _allReceived));

    private IncomingPrecopy Precopy(int lanes) => new(_memory, "one", lanes);

    private byte[] Read(long first, int count)
    {
        byte[] bytes = new byte[count * GuestPage.Size];
        _memory.Memory.Read(first * GuestPage.Size, bytes);
        return bytes;
    }

    /// <summary>A lane whose pages are received, and its source, which is the test.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly LanePeer _peer;
        private readonly TaskCompletionSource<Exception?> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Scene(ScriptedMemory memory, ArrivingPages arriving) =>
            _peer = new LanePeer(call => Serve(call, memory, arriving), path: PageLanePaths.Push);

        public LaneCall Call => _peer.Call;

        public void Send(PageRun run) => Call.Send(run);

        /// <summary>Ends the lane as a source does; the reports until then.</summary>
        public IReadOnlyList<PushReport> End()
        {
            Call.FinishWriting();
            IReadOnlyList<PushReport> reports = Call.ReceiveAll<PushReport>();
            Assert.Null(Ended());
            return reports;
        }

        /// <summary>What receiving has ended with; null when the source has ended it.</summary>
        public Exception? Ended() => _ended.Task.WaitAsync(LanePeer.Deadline).GetAwaiter().GetResult();

        public void AssertRefused(Because why, string words)
        {
            Refusal refused = Assert.Throws<Refusal>(() => Call.ReceiveAll<PushReport>());
            Assert.Equal(why, refused.Why);
            Assert.Contains(words, refused.Message, StringComparison.Ordinal);
            Assert.IsType<LaneException>(Ended());
        }

        public void Dispose() => _peer.Dispose();

        private void Serve(LaneCall call, ScriptedMemory memory, ArrivingPages arriving)
        {
            using var receiver = new PageReceiver(call, memory.NewPlacer(), arriving);
            call.Accept();
            try
            {
                receiver.Run();
                _ended.TrySetResult(null);
            }
            catch (Exception error)
            {
                _ended.TrySetResult(error);
                throw;
            }
        }
    }
}
