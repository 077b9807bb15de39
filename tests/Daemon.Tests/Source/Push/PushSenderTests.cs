using System.Security.Cryptography;
using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class PushSenderTests
{
    private const int Block = GuestPage.PerBlock;

    // ---- after the switchover

    [Fact]
    public void Everything_is_sent_once_and_zeros_without_content_across_blocks()
    {
        using OutgoingScene scene = Scene(blocks: 4);
        scene.Guest.Write(0, Block);
        scene.Guest.Write((3 * Block) - 1, 3);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendRest());
        Assert.Equal(["0+512", "1535+1", "1536+2", "512+1023 zeros", "1538+510 zeros"], Described(runs));
        Assert.All(runs.Where(run => !run.Zero), scene.Guest.AssertContent);
        Assert.Equal(4 * Block, scene.Guest.Sent.Count());
    }

    [Fact]
    public void Memory_that_nobody_has_written_is_one_message()
    {
        using OutgoingScene scene = Scene(blocks: 4);
        Assert.Equal(["0+2048 zeros"], Described(Sent(scene, push => push.SendRest())));
        Assert.Equal(4 * Block, scene.Guest.Sent.Count());
    }

    [Fact]
    public void Zeros_that_do_not_follow_each_other_are_messages_of_their_own()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Sent.MarkAll(100, 600);
        Assert.Equal(["0+100 zeros", "600+424 zeros"], Described(Sent(scene, push => push.SendRest())));
    }

    [Fact]
    public void Blocks_come_in_the_order_that_the_guest_waits_for()
    {
        using OutgoingScene scene = Scene(blocks: 3);
        scene.Guest.Write(0, 3 * Block);
        scene.Order.Hint(2);
        Assert.Equal("1024+512", Described(Sent(scene, push => push.SendRest()))[0]);
    }

    [Fact]
    public void Block_that_has_been_sent_is_not_sent_again()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Sent.MarkAll(0, Block);
        Assert.Equal(["512+512"], Described(Sent(scene, push => push.SendRest())));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(32)]
    public void Block_goes_whole_as_long_as_few_of_its_pages_were_asked_for(int asked)
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Sent.MarkAll(Block + 100, Block + 100 + asked);
        scene.Guest.Sent.MarkAll(0, Block);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendRest());
        Assert.Equal(["512+512"], Described(runs));
        scene.Guest.AssertContent(runs[0]);
        Assert.Equal(2 * Block, scene.Guest.Sent.Count());
    }

    [Fact]
    public void Block_of_which_many_pages_were_asked_for_goes_in_what_is_left()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Sent.MarkAll(0, Block);
        scene.Guest.Sent.MarkAll(Block + 100, Block + 133);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendRest());
        Assert.Equal(["512+100", "645+379"], Described(runs));
        Assert.All(runs, scene.Guest.AssertContent);
    }

    [Fact]
    public void Pages_that_were_asked_for_are_left_out_of_a_block_with_zeros()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Write(0, 10);
        scene.Guest.Sent.Mark(4);
        scene.Guest.Sent.Mark(20);
        Assert.Equal(["0+4", "5+5", "10+10 zeros", "21+491 zeros"], Described(Sent(scene, push => push.SendRest())));
    }

    [Fact]
    public void Block_that_is_one_huge_page_here_is_said_to_be_one()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, Block + 1);
        using var scanner = new PageScanner(scene.Guest.Memory);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendRest());
        Assert.Equal(
            [scanner.IsHuge(0), scanner.IsHuge(1)], runs.Where(run => !run.Zero).Select(run => run.Huge));
        Assert.DoesNotContain(runs, run => run.Zero && run.Huge);
    }

    // ---- the first block, and pages ahead of all others

    [Fact]
    public void First_block_goes_before_the_guest_runs_and_the_rest_after_it()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 3);
        scene.Guest.Write(Block, Block);
        Assert.Equal(
            ["0+3", "3+509 zeros", "RoundEnded", "512+512"],
            Described(Sent(scene, push =>
            {
                push.SendFirst();
                push.SendMark(PrecopyMark.RoundEnded);
                push.SendRest();
            })));
    }

    [Fact]
    public void First_block_does_not_wait_for_its_turn()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Exhaust();
        Assert.Equal(["0+512 zeros"], Described(Sent(scene, push => push.SendFirst(), () => true)));
    }

    [Fact]
    public void First_block_that_another_lane_has_taken_is_not_sent()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Order.TryTake(out _);
        Assert.Empty(Sent(scene, push => push.SendFirst()));
    }

    [Fact]
    public void Pages_ahead_come_in_their_order_and_neighbours_together()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Sent.Mark(701);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendAhead([9, 8, 20, 21, 22, 511, 512, 513, 700, 701, 702]));
        Assert.Equal(["9+1", "8+1", "20+3", "511+1", "512+2", "700+1", "702+1"], Described(runs));
        Assert.All(runs, scene.Guest.AssertContent);
        using var scanner = new PageScanner(scene.Guest.Memory);
        Assert.All(runs, run => Assert.Equal(scanner.IsHuge((long)run.FirstPage / Block), run.Huge));
    }

    [Fact]
    public void Pages_ahead_that_are_zeros_are_sent_without_content_at_once()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Write(6, 1);
        Assert.Equal(
            ["6+1", "4+2 zeros", "RoundEnded"],
            Described(Sent(scene, push =>
            {
                push.SendAhead([4, 5, 6]);
                push.SendMark(PrecopyMark.RoundEnded);
            })));
        Assert.Empty(Sent(scene, push => push.SendAhead([])));
    }

    // ---- rounds of precopy

    [Fact]
    public void Round_sends_the_blocks_that_no_other_lane_takes_as_far_as_they_are_not_sent()
    {
        using OutgoingScene scene = Scene(blocks: 3);
        scene.Guest.Write(0, Block);
        scene.Guest.Write(2 * Block, Block);
        var blocks = new RoundBlocks(3);
        blocks.TryTake(out _);
        Assert.Equal(
            ["1024+512", "512+512 zeros", "PrecopyEnded"],
            Described(Sent(scene, push =>
            {
                push.SendRound(blocks, () => false, isPaced: false);
                push.SendMark(PrecopyMark.PrecopyEnded);
            })));
        Assert.Equal(["0+512"], Described(Sent(scene, push => push.SendRound(new RoundBlocks(3), () => false, isPaced: false))));
    }

    [Fact]
    public void Round_that_is_stopped_leaves_the_rest()
    {
        using OutgoingScene scene = Scene(blocks: 3);
        scene.Guest.Write(0, 3 * Block);
        int asked = 0;
        Assert.Equal(["0+512"], Described(Sent(scene, push => push.SendRound(new RoundBlocks(3), () => asked++ > 0, isPaced: false))));
        Assert.Equal(Block, scene.Guest.Sent.Count());
    }

    [Fact]
    public void Round_while_the_guest_stands_still_does_not_wait_for_its_turn()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Exhaust();
        Assert.Equal(["0+512", "512+512"], Described(Sent(scene, push => push.SendRound(new RoundBlocks(2), () => false, isPaced: false))));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Round_that_waits_for_its_turn_ends_when_it_is_stopped_or_the_lanes_are(bool isStopped)
    {
        int asked = 0;
        bool Asked() => ++asked > 3;
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, 2 * Block);
        scene.Guest.Exhaust();
        Assert.Empty(Sent(
            scene,
            push => push.SendRound(new RoundBlocks(2), isStopped ? Asked : () => false, isPaced: true),
            isStopped ? null : Asked));
        Assert.Equal(0, scene.Guest.Sent.Count());
    }

    [Fact]
    public void Round_does_not_keep_to_the_bandwidth_of_postcopy()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Write(0, Block);
        scene.Guest.Exhaust(isPostcopy: true);
        Assert.Equal(["0+512"], Described(Sent(scene, push => push.SendRound(new RoundBlocks(1), () => false, isPaced: true))));
    }

    [Fact]
    public void Rest_and_pages_ahead_keep_to_the_bandwidth_of_postcopy()
    {
        int asked = 0;
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Write(0, Block);
        scene.Guest.Exhaust(isPostcopy: true);
        Assert.Empty(Sent(scene, push => push.SendRest(), () => ++asked > 3));
        asked = 0;
        Assert.Empty(Sent(scene, push => push.SendAhead([1]), () => ++asked > 3));
        Assert.Equal(0, scene.Guest.Sent.Count());
    }

    [Fact]
    public void First_block_does_not_wait_after_a_round_that_did()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Write(0, Block);
        Assert.Equal(["0+512"], Described(Sent(scene, push =>
        {
            push.SendRound(new RoundBlocks(0), () => false, isPaced: true);
            scene.Guest.Exhaust();
            push.SendFirst();
        })));
    }

    [Fact]
    public void Block_that_has_been_sent_is_not_waited_for()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Sent.MarkAll(0, Block);
        scene.Guest.Exhaust();
        Assert.Empty(Sent(scene, push => push.SendRound(new RoundBlocks(1), () => false, isPaced: true)));
    }

    // ---- the pace

    [Fact]
    public async Task Next_block_waits_until_there_is_room_for_it_and_is_chosen_only_then()
    {
        using OutgoingScene scene = Scene(blocks: 3);
        scene.Guest.Write(0, 3 * Block);
        scene.Guest.Pace.Set(PushPace.LongestMessage, 0);
        using var asked = new SemaphoreSlim(0);
        Task sending = LanePeer.Start(() =>
        {
            using PushSender push = Sender(scene, () => asked.Release() < 0);
            push.SendRest();
            scene.Near.FinishWriting();
        });
        Assert.Equal("0+512", scene.Far.Receive<PageRun>().Describe());
        // Asked a second time after it: it waits.
        LanePeer.Until(() => asked.CurrentCount >= 3, "a wait");
        Assert.Equal(Block, scene.Guest.Sent.Count());
        scene.Order.Hint(2);
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("1024+512", scene.Far.Receive<PageRun>().Describe());
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("512+512", scene.Far.Receive<PageRun>().Describe());
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.False(scene.Far.TryReadMessage(out _));
        await sending.WaitAsync(LanePeer.Deadline);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(513)]
    public void Pages_count_with_all_their_bytes(int pages)
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Write(0, pages);
        scene.Guest.Pace.Set(1 << 20, 0);
        Sent(scene, push => push.SendRound(new RoundBlocks(2), () => false, isPaced: false));
        // What has not waited is made up for by no more than a second.
        double owed = Math.Min(pages * GuestPage.Size / (double)(1 << 20), 1);
        Assert.True(scene.Guest.MustWait());
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(owed - 0.001));
        Assert.True(scene.Guest.MustWait());
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(0.002));
        Assert.False(scene.Guest.MustWait());
    }

    [Fact]
    public void Zeros_leave_the_link_to_others()
    {
        using OutgoingScene scene = Scene(blocks: 4);
        // Enough for what is said of zeros, and far from enough for a block.
        scene.Guest.Pace.Set(10_000_000, 0);
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(1));
        int waits = 0;
        bool Stops()
        {
            waits += scene.Guest.MustWait() ? 1 : 0;
            return false;
        }

        Assert.Single(Sent(scene, push =>
        {
            push.SendRound(new RoundBlocks(4), Stops, isPaced: true);
            Stops();
        }));
        Assert.Equal(0, waits);
    }

    [Fact]
    public void Zeros_count_with_what_is_said_of_them()
    {
        using OutgoingScene scene = Scene(blocks: 1);
        scene.Guest.Pace.Set(1, 0);
        Assert.False(scene.Guest.MustWait());
        Sent(scene, push => push.SendRound(new RoundBlocks(1), () => false, isPaced: false));
        Assert.True(scene.Guest.MustWait());
    }

    [Fact]
    public void Turn_that_was_not_used_is_given_back()
    {
        using OutgoingScene scene = Scene(blocks: 2);
        scene.Guest.Sent.MarkAll(0, 2 * Block);
        scene.Guest.Pace.Set(10_000_000, 0);
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty(Sent(scene, push =>
        {
            push.SendRest();
            Assert.False(scene.Guest.MustWait());
        }));
    }

    // ---- packed

    [Theory]
    [InlineData(PageCompression.Zstd)]
    [InlineData(PageCompression.Brotli)]
    public void Pages_that_get_smaller_go_packed(PageCompression compression)
    {
        using OutgoingScene scene = Scene(blocks: 2, compression);
        scene.Guest.Write(0, Block + 3);
        IReadOnlyList<PageRun> runs = Sent(scene, push => push.SendRest());
        Assert.Equal(["0+512", "512+3", "515+509 zeros"], Described(runs));
        using var scanner = new PageScanner(scene.Guest.Memory);
        using var unpacker = new PageUnpacker(compression);
        foreach (PageRun run in runs.Where(run => !run.Zero))
        {
            Assert.Equal((compression, scanner.IsHuge((long)run.FirstPage / Block)), (run.Compression, run.Huge));
            byte[] pages = new byte[run.PageCount * GuestPage.Size];
            byte[] here = new byte[pages.Length];
            Assert.True(unpacker.TryUnpack(run.Data.Span, pages));
            scene.Guest.Memory.Read((long)run.FirstPage * GuestPage.Size, here);
            Assert.Equal(here, pages);
        }

        long saved = ((Block + 3) * GuestPage.Size) - runs.Sum(run => run.Data.Length);
        CompressionFigures figures = scene.Guest.Compression.Figures!;
        Assert.Equal(((ulong)Block + 3, (ulong)saved), (figures.PagesPacked, figures.BytesSaved));
    }

    [Fact]
    public void Pages_that_do_not_get_smaller_go_as_they_are()
    {
        using OutgoingScene scene = Scene(blocks: 1, PageCompression.Zstd);
        byte[] noise = new byte[GuestPage.BlockSize];
        RandomNumberGenerator.Fill(noise);
        scene.Guest.Memory.Write(0, noise);
        PageRun run = Assert.Single(Sent(scene, push => push.SendRest()));
        Assert.Equal(PageCompression.None, run.Compression);
        scene.Guest.AssertContent(run);
        Assert.Equal(0ul, scene.Guest.Compression.Figures!.PagesPacked);
    }

    [Fact]
    public void Packed_pages_count_with_the_bytes_that_go()
    {
        using OutgoingScene scene = Scene(blocks: 1, PageCompression.Zstd);
        scene.Guest.Write(0, Block);
        scene.Guest.Pace.Set(1 << 20, 0);
        PageRun run = Assert.Single(Sent(scene, push => push.SendRound(new RoundBlocks(1), () => false, isPaced: true)));
        Assert.InRange(run.Data.Length, 1, 100_000);
        Assert.True(scene.Guest.MustWait());
        scene.Guest.Clock.Advance(TimeSpan.FromSeconds(0.2));
        Assert.False(scene.Guest.MustWait());
    }

    // ---- ends

    [Fact]
    public void Lane_that_is_cut_ends_it()
    {
        // More than a connection that is read by nobody holds.
        using OutgoingScene scene = Scene(blocks: 16);
        scene.Guest.Write(0, 16 * Block);
        using PushSender push = Sender(scene, () => false);
        scene.Far.Abort("cut");
        Assert.Throws<LaneException>(push.SendRest);
    }

    private static string[] Described(IEnumerable<PageRun> runs) => [.. runs.Select(run => run.Describe())];

    private static OutgoingScene Scene(int blocks, PageCompression packed = PageCompression.None) =>
        new(PageLanePaths.Push, blocks, packed);

    private static PushSender Sender(OutgoingScene scene, Func<bool> isOver) =>
        new(scene.Near, scene.Guest.Outgoing, scene.Order, scene.Gate, isOver);

    /// <summary>What is sent until this has been done.</summary>
    private static IReadOnlyList<PageRun> Sent(OutgoingScene scene, Action<PushSender> work, Func<bool>? isOver = null)
    {
        const uint NoBlock = 99;
        Task sending = LanePeer.Start(() =>
        {
            try
            {
                using PushSender push = Sender(scene, isOver ?? (() => false));
                work(push);
            }
            finally
            {
                scene.Near.Send(new PageRun { RamBlock = NoBlock, PageCount = 1, Zero = true });
            }
        });
        var runs = new List<PageRun>();
        while (scene.Far.Receive<PageRun>() is { RamBlock: not NoBlock } run)
        {
            runs.Add(run);
        }

        sending.WaitAsync(LanePeer.Deadline).GetAwaiter().GetResult();
        return runs;
    }
}
