using System.Collections.Concurrent;
using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Guest.Interop;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using PageRun = MigrationD.Protocol.V1.PageRun;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class DestinationLanesTests
{
    private const int Block = GuestPage.PerBlock;

    private static readonly LanesAgreed OneAndHandover = new(1, PageCompression.None) { Handover = true };
    private static readonly LanesAgreed One = new(1, PageCompression.None);
    private static readonly LanesAgreed Two = new(2, PageCompression.None);

    // ---- staging

    [Fact]
    public void Staging_is_there_before_any_lane_and_goes_with_them()
    {
        using var scene = new Scene(Two);
        Assert.Equal(["create placer 64", "create placer 512", "create placer 512"], scene.Memory.Calls);
        scene.Lanes.Dispose();
        Assert.Equal(3, scene.Memory.Calls.Count(call => call == "dispose placer"));
    }

    [Fact]
    public void Host_without_memory_for_all_of_the_staging_gets_back_what_there_is_of_it()
    {
        ScriptedMemory memory = ScriptedMemory.Map(blocks: 1);
        using GuestMemory mapped = memory.Memory;
        int created = 0;
        memory.OnCall = call =>
        {
            if (call.StartsWith("create", StringComparison.Ordinal) && ++created == 3)
            {
                throw new SystemCallException("madvise", Errno.ENOMEM);
            }
        };
        Assert.Throws<SystemCallException>(() => new DestinationLanes(memory, "one", Two, NullLogger.Instance));
        Assert.Equal(["create placer 64", "create placer 512", "dispose placer", "dispose placer"], memory.Calls);
    }

    // ---- which lanes there are

    [Theory]
    [InlineData("urgent", "push", "handover")]
    [InlineData("handover", "push", "urgent")]
    [InlineData("push", "handover", "urgent")]
    public void Lanes_are_open_when_the_last_one_is(string first, string second, string third)
    {
        using var scene = new Scene(OneAndHandover);
        scene.Open(first);
        scene.Open(second);
        Assert.Equal(0, scene.Opened);
        scene.Open(third);
        LanePeer.Until(() => scene.Opened == 1, "opened");
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public void Push_lane_that_does_not_say_which_one_it_is_is_refused()
    {
        using var scene = new Scene(Two);
        var metadata = new Dictionary<string, string> { [PageLanePaths.LaneMetadata] = "x" };
        Refusal refused = Assert.Throws<Refusal>(() => scene.Server.Open(PageLanePaths.Push, metadata));
        Assert.Equal((Because.Invalid, "the lane does not say in a number which one it is"), (refused.Why, refused.Message));
    }

    [Fact]
    public void Push_lane_beyond_those_agreed_on_is_refused()
    {
        using var scene = new Scene(Two);
        scene.Open("push 1");
        Refusal refused = Assert.Throws<Refusal>(() => scene.Open("push 2"));
        Assert.Equal(
            (Because.Invalid, "there is no push lane 2: the session of guest 'one' has 2"), (refused.Why, refused.Message));
    }

    [Fact]
    public void Handover_lane_that_was_not_agreed_on_is_refused()
    {
        using var scene = new Scene(One);
        Refusal refused = Assert.Throws<Refusal>(() => scene.Open("handover"));
        Assert.Equal(
            (Because.Invalid, "the session of guest 'one' has not agreed on a handover lane"), (refused.Why, refused.Message));
    }

    [Fact]
    public void Handover_lane_of_a_guest_that_runs_is_refused_and_not_waited_for()
    {
        using var scene = new Scene(OneAndHandover);
        scene.Lanes.GuestRuns();
        Refusal refused = Assert.Throws<Refusal>(() => scene.Open("handover"));
        Assert.Equal(
            (Because.NotNow, "guest 'one' runs here already; nothing is left to be handed over"), (refused.Why, refused.Message));
        scene.Open("urgent");
        scene.Open("push");
        LanePeer.Until(() => scene.Opened == 1, "opened");
    }

    [Theory]
    [InlineData("urgent", "urgent")]
    [InlineData("push 1", "push 1")]
    [InlineData("push", "push")]
    public void Lane_that_is_open_is_not_opened_again(string lane, string name)
    {
        using var scene = new Scene(Two);
        LaneCall call = scene.Open(lane);
        Refusal refused = Assert.Throws<Refusal>(() => scene.Open(lane));
        Assert.Equal((Because.AlreadyThere, $"guest 'one' has its {name} lane already"), (refused.Why, refused.Message));
        scene.AssertServed(call);
        Assert.Empty(scene.Lost);
    }

    // ---- pages

    [Theory]
    [InlineData("urgent", "Urgent")]
    [InlineData("push 1", "Push")]
    public void Pages_come_on_the_way_of_their_lane_and_the_last_one_is_told_of(string lane, string path)
    {
        using var scene = new Scene(Two);
        LaneCall call = scene.Open(lane);
        call.Send(Zeros(1, Block - 1));
        call.Send(Zeros(0, 1));
        LanePeer.Until(() => scene.AllPages > 0, "all pages");
        Assert.Contains($"zeros 0+1 {path}", scene.Memory.Calls);
        call.FinishWriting();
        call.ReceiveAll<PushReport>();
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public void Bytes_are_counted_over_all_connections_that_ever_were()
    {
        using var scene = new Scene(Two);
        LaneCall first = scene.Open("push");
        LaneCall second = scene.Open("push 1");
        second.Send(Zeros(0, 1));
        first.FinishWriting();
        first.ReceiveAll<PushReport>();
        LanePeer.Until(() => scene.Lanes.BytesReceived == first.BytesWritten + second.BytesWritten, "all bytes counted");
        LaneCall again = scene.OpenWhenFree("push");
        LanePeer.Until(
            () => scene.Lanes.BytesReceived == first.BytesWritten + second.BytesWritten + again.BytesWritten, "all bytes counted");
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Blocks_are_confirmed_from_when_the_guest_runs_to_a_source_that_wants_it(bool wants, bool runs)
    {
        using var scene = new Scene(One with { Precopy = true, Confirms = wants });
        LaneCall push = scene.Open("push");
        push.Send(Zeros(0, Block));
        if (runs)
        {
            scene.Lanes.GuestRuns();
        }

        push.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        ulong[] confirmed = wants && runs ? [0, 1] : [];
        Assert.Equal(confirmed, push.Receive<PushReport>().ConfirmedRuns);
    }

    [Fact]
    public void Packed_pages_are_those_that_were_agreed_on()
    {
        using var scene = new Scene(new LanesAgreed(1, PageCompression.Zstd));
        using var packer = new PagePacker(PageCompression.Zstd);
        byte[] packed = new byte[GuestPage.Size];
        int length = packer.Pack(Enumerable.Repeat((byte)7, GuestPage.Size).ToArray(), packed);
        var run = new PageRun { PageCount = 1, Compression = PageCompression.Zstd, Data = ByteString.CopyFrom(packed, 0, length) };
        scene.Open("push").Send(run);
        LanePeer.Until(() => scene.Memory.Received.Count == 1, "the page");
        LaneCall urgent = scene.Open("urgent");
        urgent.Send(run);
        Assert.Equal(Because.Invalid, Assert.Throws<Refusal>(() => urgent.TryReadMessage(out _)).Why);
    }

    // ---- precopy

    [Fact]
    public void Guest_is_not_loaded_before_every_push_lane_has_ended_precopy()
    {
        using var scene = new Scene(Two with { Precopy = true });
        LaneCall first = scene.Open("push");
        first.Send(Zeros(0, Block));
        first.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        first.Receive<PushReport>();
        Assert.Equal(Because.NotNow, Assert.Throws<Refusal>(scene.Lanes.EndPrecopy).Why);
        Assert.Equal(0, scene.AllPages);
        LaneCall second = scene.Open("push 1");
        second.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        second.Receive<PushReport>();
        scene.Lanes.EndPrecopy();
        Assert.Equal(1, scene.AllPages);
    }

    [Fact]
    public void End_of_precopy_is_no_end_of_pages_that_are_still_to_come()
    {
        using var scene = new Scene(One with { Precopy = true });
        LaneCall push = scene.Open("push");
        push.Send(Zeros(1, Block - 1));
        push.Send(new PageRun { Mark = PrecopyMark.PrecopyEnded });
        push.Receive<PushReport>();
        scene.Lanes.EndPrecopy();
        Assert.Equal(0, scene.AllPages);
    }

    [Fact]
    public void Guest_without_precopy_is_loaded_at_any_time()
    {
        using var scene = new Scene(One);
        Assert.Null(scene.Lanes.Precopy);
        scene.Memory.Received.Mark(0, Block);
        scene.Lanes.EndPrecopy();
        Assert.Equal(0, scene.AllPages);
    }

    // ---- faults

    [Fact]
    public void Page_that_somebody_waits_for_is_asked_for_over_the_urgent_lane()
    {
        using var scene = new Scene(One);
        LaneCall urgent = scene.Open("urgent");
        scene.Memory.Fault(7);
        Assert.Equal(7ul, urgent.Receive<PageRequest>().Page);
        scene.Memory.Fault(9);
        // A fault while the lane opens may be asked for by both of its threads.
        ulong next = urgent.Receive<PageRequest>().Page;
        Assert.Equal(9ul, next == 7 ? urgent.Receive<PageRequest>().Page : next);
        urgent.Send(Zeros(7, 1));
        LanePeer.Until(() => scene.Memory.OpenFaults() is [{ Page: 9 }], "page 7 placed");
    }

    [Fact]
    public void Page_that_nobody_could_be_asked_for_is_asked_for_when_the_lane_opens_and_again_on_the_next_one()
    {
        using var scene = new Scene(One);
        scene.Open("push");
        scene.Memory.Fault(7);
        scene.Memory.Fault(9);
        LaneCall urgent = scene.Open("urgent");
        Assert.Equal([7ul, 9ul], [urgent.Receive<PageRequest>().Page, urgent.Receive<PageRequest>().Page]);
        urgent.Send(Zeros(7, 1));
        LanePeer.Until(() => scene.Memory.Received.Count == 1, "page 7 placed");
        urgent.Abort("cut");
        LaneCall again = scene.OpenWhenFree("urgent");
        Assert.Equal(9ul, again.Receive<PageRequest>().Page);
    }

    [Fact]
    public void Broken_userfaultfd_is_a_loss_of_its_own()
    {
        using var scene = new Scene(One);
        LaneCall push = scene.Open("push");
        scene.Memory.BreakFaults(new IOException("POLLERR"));
        LanePeer.Until(() => !scene.Lost.IsEmpty, "the loss");
        Assert.Equal([("fault", "POLLERR")], scene.Losses());
        scene.AssertServed(push);
    }

    [Fact]
    public async Task Thread_that_reads_faults_ends_when_it_is_told_to()
    {
        using var scene = new Scene(One);
        await scene.Lanes.StopFaultsAsync().WaitAsync(LanePeer.Deadline);
        Assert.Equal("stop faults", scene.Memory.Calls[^1]);

        using var other = new Scene(One);
        other.Open("urgent");
        other.Open("push");
        other.Memory.Fault(1);
        await other.Lanes.StopFaultsAsync().WaitAsync(LanePeer.Deadline);
        Assert.Empty(other.Lost);
    }

    // ---- losses

    [Theory]
    [InlineData("urgent")]
    [InlineData("push")]
    [InlineData("handover")]
    public async Task Lane_that_is_cut_is_lost_and_takes_the_others_with_it(string lane)
    {
        using var scene = new Scene(OneAndHandover);
        Dictionary<string, LaneCall> calls = scene.OpenAll();
        calls[lane].Abort("cut");
        foreach (LaneCall call in calls.Where(one => one.Key != lane).Select(one => one.Value))
        {
            Assert.ThrowsAny<Exception>(() => call.TryReadMessage(out _));
        }

        LanePeer.Until(() => scene.Losses().Any(loss => loss.Lane == lane), "the loss");
        await scene.Lanes.CloseAsync("others come").WaitAsync(LanePeer.Deadline);
        scene.OpenAll();
        LanePeer.Until(() => scene.Opened == 2, "opened again");
    }

    [Theory]
    [InlineData("urgent")]
    [InlineData("push")]
    [InlineData("handover")]
    public void Loss_is_told_of_once_by_the_lane_that_broke(string lane)
    {
        using var scene = new Scene(OneAndHandover);
        scene.OpenAll()[lane].Abort("cut");
        LanePeer.Until(() => scene.Served == 3, "the end of every lane");
        Assert.Equal(lane, Assert.Single(scene.Losses()).Lane);
    }

    [Fact]
    public void Urgent_lane_is_not_closed_while_pages_are_missing()
    {
        using var scene = new Scene(One);
        LaneCall urgent = scene.Open("urgent");
        urgent.Send(Zeros(1, Block - 1));
        urgent.FinishWriting();
        LanePeer.Until(() => !scene.Lost.IsEmpty, "the loss");
        Assert.Equal([("urgent", "the source closed it while pages are missing")], scene.Losses());
    }

    [Fact]
    public async Task Lanes_that_the_source_closes_with_every_page_here_are_not_lost()
    {
        using var scene = new Scene(One);
        LaneCall urgent = scene.Open("urgent");
        LaneCall push = scene.Open("push");
        urgent.Send(Zeros(0, Block));
        urgent.FinishWriting();
        Assert.False(urgent.TryReadMessage(out _));
        push.FinishWriting();
        Assert.False(push.TryReadMessage(out _));
        await scene.Lanes.FinishAsync().WaitAsync(LanePeer.Deadline);
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public void Handover_lane_is_not_closed_before_the_guest_runs()
    {
        using var scene = new Scene(OneAndHandover);
        LaneCall handover = scene.Open("handover");
        handover.FinishWriting();
        LanePeer.Until(() => !scene.Lost.IsEmpty, "the loss");
        Assert.Equal([("handover", "the source closed it before the guest ran here")], scene.Losses());
    }

    [Fact]
    public void Handover_lane_ends_nothing_once_the_guest_runs()
    {
        using var scene = new Scene(OneAndHandover);
        Dictionary<string, LaneCall> calls = scene.OpenAll();
        scene.Lanes.GuestRuns();
        calls["handover"].Abort("cut");
        LanePeer.Until(() => scene.Served == 1, "the end of the handover lane");
        scene.AssertServed(calls["push"]);
        scene.AssertServed(calls["urgent"]);
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public void Order_on_the_handover_lane_is_carried_out_and_run_ends_it()
    {
        using var scene = new Scene(OneAndHandover);
        LaneCall handover = scene.Open("handover");
        scene.Target.OnRun = scene.Lanes.GuestRuns;
        handover.Send(new HandoverOrder { LoadState = new LoadStateRequest { DeviceState = ByteString.CopyFrom(5) } });
        Assert.Equal(0u, handover.Receive<HandoverAnswer>().Code);
        handover.Send(new HandoverOrder { Run = new RunRequest() });
        Assert.Equal(0u, handover.Receive<HandoverAnswer>().Code);
        Assert.False(handover.TryReadMessage(out _));
        Assert.Equal(["LoadState 5", "Run"], scene.Target.CarriedOut.Select(one => one.What));
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public void Page_that_cannot_be_placed_is_a_loss_with_its_cause()
    {
        using var scene = new Scene(One);
        scene.Memory.OnCall = call =>
        {
            if (call.StartsWith("zeros", StringComparison.Ordinal))
            {
                throw new SystemCallException("UFFDIO_ZEROPAGE", Errno.EINVAL);
            }
        };
        LaneCall urgent = scene.Open("urgent");
        scene.Open("push").Send(Zeros(0, 1));
        Assert.Throws<LaneException>(() => urgent.TryReadMessage(out _));
        LanePeer.Until(
            () => scene.Lost.Any(loss => loss is { Lane: "push", Error: SystemCallException }), "the loss of the lane that brought it");
    }

    // ---- ends

    [Fact]
    public async Task Lanes_that_are_closed_for_others_are_not_lost_and_others_take_their_place()
    {
        using var scene = new Scene(OneAndHandover);
        Dictionary<string, LaneCall> calls = scene.OpenAll();
        await scene.Lanes.CloseAsync("the source opens new lanes").WaitAsync(LanePeer.Deadline);
        foreach (LaneCall call in calls.Values)
        {
            Assert.ThrowsAny<Exception>(() => call.TryReadMessage(out _));
        }

        Assert.Empty(scene.Lost);
        scene.OpenWhenFree("handover");
        scene.Open("urgent");
        LaneCall push = scene.Open("push");
        LanePeer.Until(() => scene.Opened == 2, "opened again");
        push.Abort("cut");
        LanePeer.Until(() => !scene.Lost.IsEmpty, "the loss of one of these");
    }

    [Fact]
    public async Task Closing_waits_for_the_threads_that_use_the_memory_and_takes_no_lane_meanwhile()
    {
        using var scene = new Scene(Two);
        using var placing = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        scene.Memory.OnCall = call =>
        {
            if (call == "refill")
            {
                placing.Set();
                goOn.Wait(LanePeer.Deadline);
            }
        };
        scene.Open("push").Send(Zeros(0, 1));
        Assert.True(placing.Wait(LanePeer.Deadline));
        Task closed = scene.Lanes.CloseAsync("others come");
        Assert.False(closed.IsCompleted);
        Refusal refused = Assert.Throws<Refusal>(() => scene.Open("urgent"));
        Assert.Equal((Because.Gone, "the session of guest 'one' takes no lanes now"), (refused.Why, refused.Message));
        goOn.Set();
        await closed.WaitAsync(LanePeer.Deadline);
        scene.Open("urgent");
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public async Task Failure_that_is_no_matter_of_lanes_is_told_of_while_they_are_closed_as_well()
    {
        using var scene = new Scene(One);
        using var placing = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        scene.Memory.OnCall = call =>
        {
            if (call == "refill")
            {
                placing.Set();
                goOn.Wait(LanePeer.Deadline);
                throw new SystemCallException("madvise", Errno.ENOMEM);
            }
        };
        scene.Open("push").Send(Zeros(0, 1));
        Assert.True(placing.Wait(LanePeer.Deadline));
        Task closed = scene.Lanes.CloseAsync("others come");
        goOn.Set();
        await closed.WaitAsync(LanePeer.Deadline);
        Assert.Equal("push", Assert.Single(scene.Losses()).Lane);
    }

    [Fact]
    public async Task Finished_lanes_are_waited_for_until_the_source_closes_them_and_take_no_other()
    {
        using var scene = new Scene(OneAndHandover);
        Dictionary<string, LaneCall> calls = scene.OpenAll();
        scene.Lanes.GuestRuns();
        calls["urgent"].Send(Zeros(0, Block));
        LanePeer.Until(() => scene.AllPages > 0, "all pages");
        Task finished = scene.Lanes.FinishAsync();
        calls["push"].FinishWriting();
        Assert.False(calls["push"].TryReadMessage(out _));
        Assert.Equal(Because.Gone, Assert.Throws<Refusal>(() => scene.Open("push")).Why);
        Assert.False(finished.IsCompleted);
        calls["urgent"].FinishWriting();
        // Not for the handover lane, which uses no page.
        await finished.WaitAsync(LanePeer.Deadline);
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public async Task Lane_that_breaks_when_all_is_done_is_not_lost()
    {
        using var scene = new Scene(One);
        LaneCall urgent = scene.Open("urgent");
        Task finished = scene.Lanes.FinishAsync();
        urgent.Abort("cut");
        await finished.WaitAsync(LanePeer.Deadline);
        Assert.Empty(scene.Lost);
    }

    [Fact]
    public async Task Aborted_lanes_end_for_good_and_are_not_lost()
    {
        using var scene = new Scene(OneAndHandover);
        Dictionary<string, LaneCall> calls = scene.OpenAll();
        await scene.Lanes.AbortAsync("given up").WaitAsync(LanePeer.Deadline);
        Assert.Contains("stop faults", scene.Memory.Calls);
        foreach (LaneCall call in calls.Values)
        {
            Assert.ThrowsAny<Exception>(() => call.TryReadMessage(out _));
        }

        Assert.Equal(Because.Gone, Assert.Throws<Refusal>(() => scene.Open("push")).Why);
        Assert.Empty(scene.Lost);
    }

    private static PageRun Zeros(int first, int count) => new() { FirstPage = (ulong)first, PageCount = (uint)count, Zero = true };

    /// <summary>The lanes of a session on its destination; the test is the source.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly List<LaneCall> _calls = [];
        private int _opened;
        private int _allPages;
        private int _served;

        public Scene(LanesAgreed agreed)
        {
            Lanes = new DestinationLanes(Memory, "one", agreed, NullLogger.Instance);
            Lanes.Lost += (lane, error) => Lost.Enqueue((lane, error));
            Lanes.Opened += () => Interlocked.Increment(ref _opened);
            Lanes.AllPagesReceived += () => Interlocked.Increment(ref _allPages);
            Server = new LaneServer(call =>
            {
                try
                {
                    Lanes.Serve(call, Target);
                }
                finally
                {
                    Interlocked.Increment(ref _served);
                }
            });
        }

        public ScriptedMemory Memory { get; } = ScriptedMemory.Map(blocks: 1);

        public ScriptedTarget Target { get; } = new();

        public DestinationLanes Lanes { get; }

        public LaneServer Server { get; }

        public ConcurrentQueue<(string Lane, Exception Error)> Lost { get; } = new();

        public int Opened => Volatile.Read(ref _opened);

        public int AllPages => Volatile.Read(ref _allPages);

        /// <summary>Lanes whose threads are done with them.</summary>
        public int Served => Volatile.Read(ref _served);

        public (string Lane, string Why)[] Losses() => [.. Lost.Select(loss => (loss.Lane, loss.Error.Message))];

        /// <summary>Opens a lane by its name.</summary>
        public LaneCall Open(string lane)
        {
            LaneCall call = lane.Split(' ') switch
            {
                ["urgent"] => Server.Open(PageLanePaths.Urgent),
                ["handover"] => Server.Open(PageLanePaths.Handover),
                ["push"] => Server.OpenPush(0),
                [_, string number] => Server.OpenPush(int.Parse(number)),
                _ => throw new ArgumentOutOfRangeException(nameof(lane)),
            };
            _calls.Add(call);
            return call;
        }

        /// <summary>Opens a lane when the thread of the one before is done with it.</summary>
        public LaneCall OpenWhenFree(string lane)
        {
            LaneCall? call = null;
            LanePeer.Until(
                () =>
                {
                    try
                    {
                        call = Open(lane);
                        return true;
                    }
                    catch (Refusal refusal) when (refusal.Why == Because.AlreadyThere)
                    {
                        return false;
                    }
                },
                $"the {lane} lane is free");
            return call!;
        }

        /// <summary>Opens the urgent lane, the push lane and the one for the handover.</summary>
        public Dictionary<string, LaneCall> OpenAll() => new[] { "urgent", "push", "handover" }.ToDictionary(lane => lane, OpenWhenFree);

        /// <summary>What is sent on this lane is placed.</summary>
        public void AssertServed(LaneCall call)
        {
            int placed = Memory.Calls.Count(PlacesZeros);
            call.Send(Zeros(3, 1));
            LanePeer.Until(() => Memory.Calls.Count(PlacesZeros) == placed + 1, $"{call.Path} served");
        }

        public void Dispose()
        {
            _calls.ForEach(call => call.Dispose());
            Server.Dispose();
            Assert.True(Lanes.AbortAsync("the test is over").Wait(LanePeer.Deadline));
            Lanes.Dispose();
            Memory.Memory.Dispose();
        }

        private static bool PlacesZeros(string call) => call.StartsWith("zeros", StringComparison.Ordinal);
    }
}
