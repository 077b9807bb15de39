using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class UrgentSenderTests
{
    private const int Block = GuestPage.PerBlock;

    [Fact]
    public async Task Page_is_answered_at_once_with_what_it_holds_and_is_sent_then()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(7, 1);
        PageRun answer = scene.Ask(7);
        Assert.Equal((7ul, 1u, false, false, 0u), (answer.FirstPage, answer.PageCount, answer.Zero, answer.Huge, answer.RamBlock));
        scene.Parts.Guest.AssertContent(answer);
        Assert.Equal((1L, 1), (scene.Parts.Guest.Sent.Count(), scene.Parts.Guest.Sent.CountIn(7, 8)));
        await scene.EndAsync();
    }

    [Fact]
    public async Task Page_of_zeros_is_answered_without_content()
    {
        using var scene = new Scene();
        PageRun answer = scene.Ask((2 * Block) - 1);
        Assert.Equal(("1023+1 zeros", 0), (answer.Describe(), answer.Data.Length));
        await scene.EndAsync();
    }

    [Fact]
    public async Task Page_that_the_push_has_claimed_is_sent_again()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(7, 1);
        scene.Parts.Guest.Sent.Mark(7);
        scene.Parts.Guest.AssertContent(scene.Ask(7));
        await scene.EndAsync();
    }

    // ---- what is sent behind it

    [Fact]
    public async Task Walk_is_run_ahead_of_with_twice_as_many_pages_each_time()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, Block);
        Assert.Equal(
            ["10+1", "11+2", "13+4", "17+8"], new[] { 10, 11, 13, 17 }.Select(page => scene.Ask(page).Describe()));
        Assert.Equal(15, scene.Parts.Guest.Sent.CountIn(10, 25));
        Assert.Equal(15, scene.Parts.Guest.Sent.Count());
        await scene.EndAsync();
    }

    [Fact]
    public async Task Walk_that_jumps_is_not_run_ahead_of()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, Block);
        Assert.Equal(["10+1", "12+1", "14+1"], new[] { 10, 12, 14 }.Select(page => scene.Ask(page).Describe()));
        await scene.EndAsync();
    }

    [Fact]
    public async Task Pages_behind_it_are_sent_up_to_the_first_one_that_somebody_has_sent()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, Block);
        scene.Parts.Guest.Sent.Mark(15);
        Assert.Equal(["10+1", "11+2", "13+2"], new[] { 10, 11, 13 }.Select(page => scene.Ask(page).Describe()));
        Assert.Equal(0, scene.Parts.Guest.Sent.CountIn(16, Block));
        await scene.EndAsync();
    }

    [Fact]
    public async Task Pages_behind_it_are_those_of_its_block()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, 2 * Block);
        Assert.Equal(["508+1", "509+2", "511+1"], new[] { 508, 509, 511 }.Select(page => scene.Ask(page).Describe()));
        Assert.Equal(0, scene.Parts.Guest.Sent.CountIn(Block, 2 * Block));
        await scene.EndAsync();
    }

    [Fact]
    public async Task Answer_of_zeros_and_content_comes_in_runs_of_either()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, 14);
        scene.Parts.Guest.Write(15, 2);
        scene.Ask(10);
        scene.Ask(11);
        PageRun[] runs = [scene.Ask(13), scene.Next(), scene.Next()];
        Assert.Equal(["13+1", "14+1 zeros", "15+2"], runs.Select(run => run.Describe()));
        scene.Parts.Guest.AssertContent(runs[0]);
        scene.Parts.Guest.AssertContent(runs[2]);
        await scene.EndAsync();
    }

    // ---- what is refused, and what is not answered

    [Theory]
    [InlineData(1u, 0ul)]
    [InlineData(0u, 2ul * Block)]
    [InlineData(0u, ulong.MaxValue)]
    public async Task Page_that_the_guest_does_not_have_ends_the_lane(uint ramBlock, ulong page)
    {
        using var scene = new Scene();
        scene.Parts.Far.Send(new PageRequest { RamBlock = ramBlock, Page = page });
        LaneException error = await Assert.ThrowsAsync<LaneException>(() => scene.Running.WaitAsync(LanePeer.Deadline));
        Assert.Equal(LaneFailure.ProtocolError, error.Kind);
        Assert.Contains(
            $"the destination asked for page {page} of RAM block {ramBlock}; this guest has 1024 pages in block 0", error.Message,
            StringComparison.Ordinal);
        Assert.Equal(0, scene.Parts.Guest.Sent.Count());
    }

    [Fact]
    public async Task Page_that_was_given_back_since_is_not_answered()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(0, 2 * Block);
        scene.Parts.Guest.Released.Confirm(0, 1);
        scene.Parts.Guest.Released.Release();
        scene.Parts.Far.Send(new PageRequest { Page = 3 });
        Assert.Equal("512+1", scene.Ask(Block).Describe());
        Assert.Equal(1, scene.Parts.Guest.Sent.Count());
        await scene.EndAsync();
    }

    [Fact]
    public async Task Every_page_is_answered_where_nothing_is_to_be_given_back()
    {
        using var scene = new Scene(releases: false);
        Assert.Equal("3+1 zeros", scene.Ask(3).Describe());
        await scene.EndAsync();
    }

    [Fact]
    public async Task Lane_that_is_cut_ends_it()
    {
        using var scene = new Scene();
        scene.Parts.Far.Abort("cut");
        await Assert.ThrowsAsync<LaneException>(() => scene.Running.WaitAsync(LanePeer.Deadline));
    }

    // ---- what others learn of it

    [Fact]
    public async Task Push_is_sent_to_a_block_that_is_asked_for_again()
    {
        using var scene = new Scene(blocks: 4);
        scene.Ask((2 * Block) + 5);
        scene.Ask((3 * Block) + 5);
        Assert.True(scene.Parts.Order.TryTake(out long block));
        Assert.Equal(0, block);
        scene.Ask((3 * Block) + 90);
        // The hint comes behind the answer, and this one behind the hint.
        scene.Ask(1);
        Assert.True(scene.Parts.Order.TryTake(out block));
        Assert.Equal(3, block);
        await scene.EndAsync();
    }

    [Fact]
    public async Task Pages_that_were_asked_for_use_up_what_the_push_may_send()
    {
        using var scene = new Scene();
        scene.Parts.Guest.Write(1, 1);
        scene.Parts.Guest.Pace.Set(GuestPage.Size, 0);
        Assert.False(scene.Parts.Guest.MustWait());
        scene.Ask(1);
        await scene.EndAsync();
        Assert.True(scene.Parts.Guest.MustWait());
        scene.Parts.Guest.Clock.Advance(TimeSpan.FromSeconds(0.9));
        Assert.True(scene.Parts.Guest.MustWait());
        scene.Parts.Guest.Clock.Advance(TimeSpan.FromSeconds(0.1));
        Assert.False(scene.Parts.Guest.MustWait());
    }

    [Fact]
    public async Task Push_gives_way_while_a_request_is_answered()
    {
        using var scene = new Scene(options: new LaneOptions { SendBufferBytes = 4096, ReceiveBufferBytes = 4096 });
        scene.Parts.Guest.Write(0, 2 * Block);
        Assert.False(scene.Parts.Gate.IsOpen);
        const int Requests = 64;
        for (ulong page = 0; page < Requests; page++)
        {
            scene.Parts.Far.Send(new PageRequest { Page = page });
        }

        LanePeer.Until(() => scene.Parts.Gate.IsOpen, "a request that is being answered");
        for (int i = 0; i < Requests; i++)
        {
            scene.Next();
        }

        await scene.EndAsync();
        Assert.False(scene.Parts.Gate.IsOpen);
    }

    [Fact]
    public async Task Answer_that_cannot_be_sent_is_under_way_no_more()
    {
        using var scene = new Scene(options: new LaneOptions { SendBufferBytes = 4096, ReceiveBufferBytes = 4096 });
        scene.Parts.Guest.Write(0, 2 * Block);
        for (ulong page = 0; page < 128; page += 2)
        {
            scene.Parts.Far.Send(new PageRequest { Page = page });
        }

        LanePeer.Until(() => scene.Parts.Gate.IsOpen, "a request that is being answered");
        scene.Parts.Near.Abort("cut");
        await Assert.ThrowsAsync<LaneException>(() => scene.Running.WaitAsync(LanePeer.Deadline));
        Assert.False(scene.Parts.Gate.IsOpen);
    }

    /// <summary>An urgent sender that runs; the test is the destination.</summary>
    private sealed class Scene : IDisposable
    {
        public Scene(int blocks = 2, bool releases = true, LaneOptions? options = null)
        {
            Parts = new OutgoingScene(PageLanePaths.Urgent, blocks, options: options);
            OutgoingMemory outgoing = releases ? Parts.Guest.Outgoing : Parts.Guest.Outgoing with { Released = null };
            Running = LanePeer.Start(() =>
            {
                using var sender = new UrgentSender(Parts.Near, outgoing, Parts.Order, Parts.Gate, NullLogger.Instance);
                sender.Run();
            });
        }

        public OutgoingScene Parts { get; }

        public Task Running { get; }

        public PageRun Ask(long page)
        {
            Parts.Far.Send(new PageRequest { Page = (ulong)page });
            return Next();
        }

        public PageRun Next() => Parts.Far.Receive<PageRun>();

        /// <summary>The destination closes the lane, which ends it well, and nothing more has come.</summary>
        public async Task EndAsync()
        {
            Parts.Near.FinishWriting();
            Assert.False(Parts.Far.TryReadMessage(out _));
            Parts.Far.Finish();
            await Running.WaitAsync(LanePeer.Deadline);
        }

        public void Dispose()
        {
            Parts.Near.Abort("the test is over");
            Running.ContinueWith(_ => { }, TaskScheduler.Default).Wait(LanePeer.Deadline);
            Parts.Dispose();
        }
    }
}
