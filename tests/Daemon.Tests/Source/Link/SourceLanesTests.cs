using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Daemon.Tests.Source.Push;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Source.Link;

public sealed class SourceLanesTests
{
    private const int Block = GuestPage.PerBlock;

    // ---- opening

    [Fact]
    public void Lanes_are_dialled_in_the_name_of_the_session()
    {
        using var scene = new Scene(push: 3, handover: true);
        foreach (LaneCall lane in scene.All)
        {
            Assert.True(LaneMetadata.TryRead(lane.Metadata, out string? session, out byte[]? secret));
            Assert.Equal("session", session);
            Assert.Equal(new byte[] { 1, 2, 3 }, secret);
        }

        Assert.NotNull(scene.Lanes.Handover);
        Assert.Same(scene.Guest.Sent, scene.Lanes.Sent);
    }

    [Fact]
    public void Lanes_without_one_for_the_handover_have_none()
    {
        using var scene = new Scene(push: 1);
        Assert.Null(scene.Lanes.Handover);
    }

    [Fact]
    public void Lane_that_is_refused_takes_those_before_it_with_it()
    {
        using var guest = new OutgoingGuest(1);
        using var server = new LaneServer
        {
            Refuse = call => LaneMetadata.LaneOf(call.Metadata) == 1 ? new Refusal(Because.Gone, "it takes no lanes now") : null,
        };
        Refusal refused = Assert.Throws<Refusal>(() => Open(server, guest, new LanesWanted(2)));
        Assert.Equal((Because.Gone, "it takes no lanes now"), (refused.Why, refused.Message));
        Assert.Throws<LaneException>(() => server.Take(PageLanePaths.Urgent).TryReadMessage(out _));
        Assert.Throws<LaneException>(() => server.Take(PageLanePaths.Push).TryReadMessage(out _));
    }

    [Fact]
    public void Dialling_that_is_given_up_opens_nothing()
    {
        using var guest = new OutgoingGuest(1);
        using var server = new LaneServer();
        Assert.Throws<OperationCanceledException>(() => Open(server, guest, new LanesWanted(1), new CancellationToken(canceled: true)));
    }

    // ---- what is sent

    [Fact]
    public void Page_that_is_asked_for_is_answered_from_the_start()
    {
        using var scene = new Scene(push: 1);
        scene.Guest.Write(3, 1);
        scene.Urgent.Send(new PageRequest { Page = 3 });
        scene.Guest.AssertContent(scene.Urgent.Receive<PageRun>());
    }

    [Fact]
    public void First_block_goes_ahead_and_the_rest_when_the_guest_runs()
    {
        using var scene = new Scene(push: 2, blocks: 3);
        scene.Lanes.StartPush();
        // Had it more to send, it would be in front of this.
        _ = scene.Lanes.SendMarkAsync(PrecopyMark.RoundEnded, CancellationToken.None);
        Assert.Equal("0+512 zeros", scene.Push[0].Receive<PageRun>().Describe());
        Assert.Equal("RoundEnded", scene.Push[0].Receive<PageRun>().Describe());
        Assert.Equal("RoundEnded", scene.Push[1].Receive<PageRun>().Describe());
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        // Then each says that it has no more.
        IEnumerable<PageRun> rest = scene.Push.SelectMany(lane => lane.ReceiveAll<PageRun>());
        Assert.Equal(Enumerable.Range(Block, 2 * Block), Pages(rest));
    }

    [Fact]
    public void Pages_that_the_guest_needs_first_go_ahead_over_the_lanes_in_turn()
    {
        using var scene = new Scene(push: 2, blocks: 4, options: new LaneOptions { SendBufferBytes = 65536, ReceiveBufferBytes = 65536 });
        // More than a lane can send before it is read, so that neither takes anything from the other.
        scene.Guest.Write(0, 2 * Block);
        scene.Lanes.GuestRuns(Enumerable.Range(0, (2 * Block) + 1).Select(page => (long)page).ToArray());
        LanePeer.Until(() => scene.Guest.Sent.Count() == 2 * Block, "both lanes at work");
        IReadOnlyList<PageRun> second = scene.Push[1].ReceiveAll<PageRun>();
        IReadOnlyList<PageRun> first = scene.Push[0].ReceiveAll<PageRun>();
        Assert.Equal(("0+512", "512+512"), (first[0].Describe(), second[0].Describe()));
        Assert.Equal(Enumerable.Range(0, 4 * Block), Pages(first.Concat(second)));
    }

    [Fact]
    public async Task Handover_lane_carries_orders_until_the_guest_runs()
    {
        using var scene = new Scene(push: 1, handover: true);
        LaneCall handover = scene.Handover!;
        Task loaded = scene.Lanes.Handover!.LoadStateAsync([5], CancellationToken.None);
        Assert.Equal(new byte[] { 5 }, handover.Receive<HandoverOrder>().LoadState.DeviceState.ToByteArray());
        handover.Send(new HandoverAnswer { Code = 0 });
        await loaded.WaitAsync(LanePeer.Deadline);
        // Who waits for an answer goes on on the lane's thread, which must not wait for its own end.
        await Task.Yield();
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        Assert.False(handover.TryReadMessage(out _));
    }

    // ---- rounds of precopy

    [Fact]
    public async Task Round_ends_when_every_lane_has_its_pages_in_their_places()
    {
        using var scene = new Scene(push: 2, blocks: 3);
        scene.Guest.Sent.MarkAll(0, 10);
        Task<long> round = scene.Lanes.SendRoundAsync(() => false, PrecopyMark.RoundEnded, isPaced: true, CancellationToken.None);
        IReadOnlyList<PageRun>[] sent = [.. scene.Push.Select(UntilMark)];
        Assert.Equal(Enumerable.Range(10, (3 * Block) - 10), Pages(sent.SelectMany(runs => runs)));
        scene.Push[0].Send(new PushReport { PagesReceived = 2 });
        scene.Push[1].Send(new PushReport { PagesReceived = 2, Marks = 1 });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 2, "the reports");
        Assert.False(round.IsCompleted);
        scene.Push[0].Send(new PushReport { Marks = 1 });
        Assert.Equal((3 * Block) - 10, await round.WaitAsync(LanePeer.Deadline));

        // The next one has the next mark, and nothing to send.
        Task<long> next = scene.Lanes.SendRoundAsync(() => false, PrecopyMark.PrecopyEnded, isPaced: true, CancellationToken.None);
        Assert.All(scene.Push, lane => Assert.Equal("PrecopyEnded", lane.Receive<PageRun>().Describe()));
        scene.Push[0].Send(new PushReport { Marks = 2, PagesReceived = 77 });
        scene.Push[1].Send(new PushReport { Marks = 1, PagesReceived = 77 });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 77, "the reports");
        Assert.False(next.IsCompleted);
        scene.Push[1].Send(new PushReport { Marks = 2 });
        Assert.Equal(0, await next.WaitAsync(LanePeer.Deadline));
    }

    [Fact]
    public async Task Round_that_is_stopped_sends_the_mark_alone()
    {
        using var scene = new Scene(push: 1);
        Task<long> round = scene.Lanes.SendRoundAsync(() => true, PrecopyMark.RoundEnded, isPaced: false, CancellationToken.None);
        Assert.Empty(UntilMark(scene.Push[0]));
        scene.Push[0].Send(new PushReport { Marks = 1 });
        Assert.Equal(0, await round.WaitAsync(LanePeer.Deadline));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Round_keeps_to_the_bandwidth_if_it_is_to_and_ends_early_when_it_is_cancelled(bool isPaced)
    {
        using var scene = new Scene(push: 1);
        scene.Guest.Exhaust();
        using var cancel = new CancellationTokenSource();
        Task<long> round = scene.Lanes.SendRoundAsync(() => false, PrecopyMark.RoundEnded, isPaced, cancel.Token);
        if (!isPaced)
        {
            Assert.Single(UntilMark(scene.Push[0]));
        }

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => round.WaitAsync(LanePeer.Deadline));
        if (isPaced)
        {
            // Nor does its thread wait any more.
            Assert.Empty(UntilMark(scene.Push[0]));
        }
    }

    [Fact]
    public async Task Round_that_loses_a_lane_says_so_with_the_cause()
    {
        using var scene = new Scene(push: 2);
        Task round = scene.Lanes.SendMarkAsync(PrecopyMark.RoundEnded, CancellationToken.None);
        UntilMark(scene.Push[1]);
        scene.Push[1].Abort("cut");
        LinkLostException lost = await Assert.ThrowsAsync<LinkLostException>(() => round.WaitAsync(LanePeer.Deadline));
        Exception cause = await scene.Lanes.Lost.WaitAsync(LanePeer.Deadline);
        Assert.Same(cause, lost.InnerException);
        Assert.StartsWith("a page lane is lost: ", lost.Message, StringComparison.Ordinal);
    }

    // ---- losses

    [Theory]
    [InlineData("urgent")]
    [InlineData("push")]
    [InlineData("handover")]
    public async Task Lane_that_is_cut_is_a_loss_of_all(string lane)
    {
        using var scene = new Scene(push: 2, handover: true);
        LaneCall cut = lane switch { "urgent" => scene.Urgent, "push" => scene.Push[1], _ => scene.Handover! };
        Assert.False(scene.Lanes.Lost.IsCompleted);
        cut.Abort("cut");
        Assert.IsType<LaneException>(await scene.Lanes.Lost.WaitAsync(LanePeer.Deadline));
        foreach (LaneCall other in scene.All.Where(call => call != cut))
        {
            Assert.Throws<LaneException>(() => other.TryReadMessage(out _));
        }
    }

    [Fact]
    public async Task Request_for_a_page_that_the_guest_does_not_have_is_a_loss()
    {
        using var scene = new Scene(push: 1);
        scene.Urgent.Send(new PageRequest { Page = Block });
        Exception lost = await scene.Lanes.Lost.WaitAsync(LanePeer.Deadline);
        Assert.Contains("the destination asked for page 512", lost.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Confirmation_of_blocks_that_the_guest_does_not_have_is_a_loss()
    {
        using var scene = new Scene(push: 1);
        scene.Push[0].Send(new PushReport { ConfirmedRuns = { 0, 2 } });
        Assert.IsType<InvalidDataException>(await scene.Lanes.Lost.WaitAsync(LanePeer.Deadline));
    }

    // ---- what is known of the migration

    [Fact]
    public void Figures_are_those_of_the_lanes_and_of_the_last_report()
    {
        using var scene = new Scene(push: 2, handover: true, packed: PageCompression.Zstd);
        long before = scene.Lanes.Figures.LaneBytes;
        // Each lane has been opened with more than this.
        Assert.True(before > 4 * 100);
        Assert.Equal((0L, null), (scene.Lanes.Figures.PagesReceived, scene.Lanes.Figures.Placement));
        Assert.Equal("zstd", scene.Lanes.Figures.Compression!.Format);
        scene.Guest.Write(3, 1);
        scene.Urgent.Send(new PageRequest { Page = 3 });
        scene.Urgent.Receive<PageRun>();
        Assert.InRange(scene.Lanes.Figures.LaneBytes - before, GuestPage.Size, GuestPage.Size + 200);
        scene.Push[1].Send(new PushReport { PagesReceived = 9, Placement = new PlacementCounters { PagesPush = 7 } });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 9, "the report");
        Assert.Equal(7ul, scene.Lanes.Figures.Placement!.PagesPush);
    }

    [Fact]
    public void Map_is_what_has_been_sent()
    {
        using var scene = new Scene(push: 1, blocks: 2);
        scene.Guest.Sent.MarkAll(Block, Block + 5);
        Assert.Equal([0, 5], scene.Lanes.Map().Pages);
        Assert.Equal(".s", scene.Lanes.Map().Paths);
    }

    [Fact]
    public void Memory_that_is_confirmed_is_given_back_once_the_guest_runs()
    {
        using var scene = new Scene(push: 1, blocks: 3);
        scene.Guest.Write(0, 3 * Block);
        scene.Push[0].Send(new PushReport { PagesReceived = 1, ConfirmedRuns = { 1, 1 } });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 1, "the report");
        Assert.Equal(0, scene.Lanes.Figures.Released);
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        scene.Push[0].Send(new PushReport { PagesReceived = 2 });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 2, "the report");
        Assert.Equal(GuestPage.BlockSize, scene.Lanes.Figures.Released);
        Assert.Equal([false, true, false], Enumerable.Range(0, 3).Select(block => scene.Guest.Released.Has(block)));
    }

    [Fact]
    public void Nothing_is_given_back_where_nothing_is_to_be()
    {
        using var scene = new Scene(push: 1, releases: false);
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        scene.Push[0].Send(new PushReport { PagesReceived = 1, ConfirmedRuns = { 0, 1 } });
        LanePeer.Until(() => scene.Lanes.Figures.PagesReceived == 1, "the report");
        Assert.Equal(0, scene.Lanes.Figures.Released);
    }

    // ---- signs of life

    [Fact]
    public void Every_lane_says_now_and_then_that_the_source_lives()
    {
        using var scene = new Scene(push: 2, handover: true);
        Task[] reading = [.. scene.All.Select(lane => LanePeer.Start(() =>
        {
            try
            {
                lane.TryReadMessage(out _);
            }
            catch (Exception error) when (error is LaneException or Refusal)
            {
                // The test is over.
            }
        }))];
        for (int i = 0; i < 2; i++)
        {
            long[] before = [.. scene.All.Select(lane => lane.BytesRead)];
            scene.Clock.Advance(LaneOptions.PingInterval);
            Assert.All(
                scene.All.Zip(before), one => LanePeer.Until(() => one.First.BytesRead > one.Second, $"a sign of life on {one.First.Path}"));
        }

        scene.Close();
        Assert.False(scene.Clock.TryAdvanceToNext());
        LanePeer.Until(() => reading.All(task => task.IsCompleted), "the end of all lanes");
    }

    // ---- ends

    [Fact]
    public async Task Lanes_that_have_done_their_work_end_with_the_destination()
    {
        using var scene = new Scene(push: 2, handover: true);
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        Task closed = scene.Lanes.CloseAsync(complete: true);
        foreach (LaneCall lane in scene.All)
        {
            lane.ReceiveAll<PageRun>();
            Assert.False(closed.IsCompleted);
            lane.Finish();
        }

        await closed.WaitAsync(LanePeer.Deadline);
        Assert.False(scene.Lanes.Lost.IsCompleted);
    }

    [Fact]
    public async Task Destination_that_does_not_end_its_lanes_is_not_waited_for_for_long()
    {
        using var scene = new Scene(push: 1);
        await scene.Clock.AwaitedAsync();
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        Task closed = scene.Lanes.CloseAsync(complete: true);
        await scene.Clock.AdvanceOnceAwaitedAsync(TimeSpan.FromSeconds(4.9));
        Assert.False(closed.IsCompleted);
        scene.Clock.Advance(TimeSpan.FromSeconds(0.1));
        await closed.WaitAsync(LanePeer.Deadline);
        Assert.False(scene.Lanes.Lost.IsCompleted);
    }

    [Fact]
    public async Task Lanes_that_are_lost_are_closed_all_the_same()
    {
        using var scene = new Scene(push: 1);
        scene.Urgent.Abort("cut");
        await scene.Lanes.Lost.WaitAsync(LanePeer.Deadline);
        await scene.Lanes.CloseAsync(complete: true).WaitAsync(LanePeer.Deadline);
    }

    [Fact]
    public async Task Lanes_that_are_given_up_end_at_once_with_work_undone()
    {
        using var scene = new Scene(push: 2, handover: true);
        scene.Guest.Exhaust();
        scene.Lanes.GuestRuns(ReadOnlyMemory<long>.Empty);
        await scene.Lanes.CloseAsync(complete: false).WaitAsync(LanePeer.Deadline);
        Assert.Throws<LaneException>(() => scene.Urgent.TryReadMessage(out _));
        Assert.False(scene.Lanes.Lost.IsCompleted);
        Assert.Equal(0, scene.Guest.Sent.Count());
    }

    [Fact]
    public async Task Work_is_done_before_lanes_that_are_complete_are_closed()
    {
        using var scene = new Scene(push: 1);
        scene.Lanes.StartPush();
        Task closed = scene.Lanes.CloseAsync(complete: true);
        Assert.Equal("0+512 zeros", scene.Push[0].Receive<PageRun>().Describe());
        scene.Push[0].Finish();
        scene.Urgent.ReceiveAll<PageRun>();
        scene.Urgent.Finish();
        await closed.WaitAsync(LanePeer.Deadline);
    }

    private static SourceLanes Open(LaneServer server, OutgoingGuest guest, LanesWanted wanted, CancellationToken cancel = default) =>
        SourceLanes.Open(
            new LaneDial(server.EndPoint, "session", ByteString.CopyFrom(1, 2, 3), server.Options), wanted, guest.Outgoing,
            NullLogger.Instance, cancel);

    private static IReadOnlyList<PageRun> UntilMark(LaneCall lane)
    {
        var runs = new List<PageRun>();
        while (lane.Receive<PageRun>() is { Mark: PrecopyMark.None } run)
        {
            runs.Add(run);
        }

        return runs;
    }

    /// <summary>Every page of these runs, in order.</summary>
    private static IEnumerable<int> Pages(IEnumerable<PageRun> runs) =>
        runs.SelectMany(run => Enumerable.Range((int)run.FirstPage, (int)run.PageCount)).Order();

    /// <summary>The lanes of a migration on its source; the test is the destination.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly LaneServer _server;
        private bool _isClosed;

        public Scene(
            int push, bool handover = false, int blocks = 1, bool releases = true, PageCompression packed = PageCompression.None,
            LaneOptions? options = null)
        {
            _server = new LaneServer(options);
            Guest = new OutgoingGuest(blocks, packed);
            var patience = new HandoverPatience(LanePeer.Deadline, LanePeer.Deadline, LanePeer.Deadline);
            Lanes = SourceLanes.Open(
                new LaneDial(_server.EndPoint, "session", ByteString.CopyFrom(1, 2, 3), _server.Options) { Time = Clock },
                new LanesWanted(push, handover ? patience : null),
                releases ? Guest.Outgoing : Guest.Outgoing with { Released = null },
                NullLogger.Instance, CancellationToken.None);
            Urgent = _server.Take(PageLanePaths.Urgent);
            Push = [.. Enumerable.Range(0, push).Select(lane => _server.Take(PageLanePaths.Push, lane))];
            Handover = handover ? _server.Take(PageLanePaths.Handover) : null;
        }

        public ManualClock Clock { get; } = new();

        public OutgoingGuest Guest { get; }

        public SourceLanes Lanes { get; }

        public LaneCall Urgent { get; }

        public LaneCall[] Push { get; }

        public LaneCall? Handover { get; }

        public IReadOnlyList<LaneCall> All => [Urgent, .. Push, .. Handover is { } handover ? (LaneCall[])[handover] : []];

        /// <summary>Closes the lanes as an engine that gives up.</summary>
        public void Close()
        {
            if (!_isClosed)
            {
                _isClosed = true;
                Assert.True(Lanes.CloseAsync(complete: false).Wait(LanePeer.Deadline));
                Lanes.Dispose();
            }
        }

        public void Dispose()
        {
            Close();
            _server.Dispose();
            Guest.Dispose();
        }
    }
}
