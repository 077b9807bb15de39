using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source.Link;

public sealed class HandoverLaneTests
{
    private static readonly HandoverPatience Patient = new(LanePeer.Deadline, LanePeer.Deadline, LanePeer.Deadline);

    [Fact]
    public async Task Orders_are_given_in_turn_and_the_lane_ends_after_the_last()
    {
        var orders = new List<HandoverOrder>();
        using var scene = new Scene(call => Serve(call, order =>
        {
            orders.Add(order);
            return new HandoverAnswer();
        }));
        await scene.Lane.ForgetAsync([(3, 2), (9, 1)], CancellationToken.None);
        await scene.Lane.LoadStateAsync([1, 2, 3], CancellationToken.None);
        await scene.Lane.RunAsync(CancellationToken.None);
        scene.Lane.Finish();
        await scene.Reading.WaitAsync(LanePeer.Deadline);

        Assert.Equal(
            [HandoverOrder.OrderOneofCase.Forget, HandoverOrder.OrderOneofCase.LoadState, HandoverOrder.OrderOneofCase.Run],
            orders.Select(order => order.OrderCase));
        Assert.Equal([3UL, 2, 4, 1], orders[0].Forget.StaleRuns);
        Assert.Equal(new byte[] { 1, 2, 3 }, orders[1].LoadState.DeviceState.ToByteArray());
    }

    [Fact]
    public async Task Many_stale_runs_go_in_several_orders()
    {
        const int Runs = 200_000;
        long runs = 0;
        int orders = 0;
        using var scene = new Scene(call => Serve(call, order =>
        {
            orders++;
            runs += order.Forget.StaleRuns.Count / 2;
            return new HandoverAnswer();
        }));
        await scene.Lane.ForgetAsync(Enumerable.Range(0, Runs).Select(run => (run * 2L, 1L)), CancellationToken.None);
        Assert.Equal((Runs, 4), (runs, orders));
    }

    [Fact]
    public async Task Who_waits_goes_on_on_the_thread_that_has_read_the_answer()
    {
        using var asked = new ManualResetEventSlim();
        using var scene = new Scene(call => Serve(call, _ =>
        {
            asked.Wait(LanePeer.Deadline);
            return new HandoverAnswer();
        }));
        Task<Thread> first = ThreadAfterAsync(scene.Lane.LoadStateAsync([], CancellationToken.None));
        asked.Set();
        Assert.Same(scene.Reader, await first);
    }

    [Theory]
    [InlineData(HandoverOrder.OrderOneofCase.Run, false, false)]
    [InlineData(HandoverOrder.OrderOneofCase.Run, true, false)]
    [InlineData(HandoverOrder.OrderOneofCase.LoadState, true, false)]
    [InlineData(HandoverOrder.OrderOneofCase.LoadState, false, true)]
    public async Task Who_waits_goes_on_on_the_pool_when_no_order_follows(HandoverOrder.OrderOneofCase last, bool isRefused, bool isCut)
    {
        using var asked = new ManualResetEventSlim();
        using var scene = new Scene(call => Serve(call, _ =>
        {
            asked.Wait(LanePeer.Deadline);
            if (isCut)
            {
                call.Abort("cut");
            }

            return new HandoverAnswer { Code = isRefused ? (uint)Because.NotNow : 0 };
        }));
        Task<Thread> thread = ThreadAfterAsync(last == HandoverOrder.OrderOneofCase.Run
            ? scene.Lane.RunAsync(CancellationToken.None)
            : scene.Lane.LoadStateAsync([], CancellationToken.None));
        asked.Set();
        Assert.True((await thread).IsThreadPoolThread);
    }

    [Fact]
    public async Task Refusal_comes_with_its_sentence_and_the_lane_goes_on()
    {
        using var scene = new Scene(call => Serve(call, order => order.OrderCase == HandoverOrder.OrderOneofCase.LoadState
            ? new HandoverAnswer { Code = (uint)Because.NotNow, Message = "no such section" }
            : new HandoverAnswer { Code = 99 }));
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => scene.Lane.LoadStateAsync([], CancellationToken.None));
        Assert.Equal((Because.NotNow, "no such section"), (refused.Why, refused.Message));
        Refusal odd = await Assert.ThrowsAsync<Refusal>(() => scene.Lane.RunAsync(CancellationToken.None));
        Assert.Equal(Because.Unknown, odd.Why);
        Assert.Contains("code 99", odd.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Silence_ends_with_the_deadline_of_the_order()
    {
        using var over = new ManualResetEventSlim();
        using var scene = new Scene(
            call => Serve(call, _ =>
            {
                over.Wait(LanePeer.Deadline);
                return new HandoverAnswer();
            }),
            Patient with { LoadState = TimeSpan.FromMilliseconds(50) });
        Refusal silent = await Assert.ThrowsAsync<Refusal>(() => scene.Lane.LoadStateAsync([], CancellationToken.None));
        Assert.Equal(Because.TimedOut, silent.Why);
        Assert.Contains("LoadState", silent.Message, StringComparison.Ordinal);
        Assert.Contains("0.05 s", silent.Message, StringComparison.Ordinal);
        // No order is taken after it, and the lanes beside it are not said to be lost.
        Assert.Same(silent, await Assert.ThrowsAsync<Refusal>(() => scene.Lane.RunAsync(CancellationToken.None)));
        await scene.Reading.WaitAsync(LanePeer.Deadline);
        over.Set();
    }

    [Fact]
    public async Task Cancelling_ends_the_wait()
    {
        using var over = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        using var scene = new Scene(call => Serve(call, _ =>
        {
            cancel.Cancel();
            over.Wait(LanePeer.Deadline);
            return new HandoverAnswer();
        }));
        await Assert.ThrowsAsync<OperationCanceledException>(() => scene.Lane.LoadStateAsync([], cancel.Token));
        over.Set();
    }

    [Fact]
    public async Task Order_to_a_peer_that_reads_nothing_is_given_up_as_well()
    {
        using var over = new ManualResetEventSlim();
        using var scene = new Scene(
            call =>
            {
                call.Accept();
                over.Wait(LanePeer.Deadline);
            },
            Patient with { LoadState = TimeSpan.FromMilliseconds(50) },
            new LaneOptions { SendBufferBytes = 4096, ReceiveBufferBytes = 4096 });
        Task order = LanePeer.Start(() => scene.Lane.LoadStateAsync(new byte[1 << 20], CancellationToken.None)).Unwrap();
        Refusal silent = await Assert.ThrowsAsync<Refusal>(() => order.WaitAsync(LanePeer.Deadline));
        Assert.Equal(Because.TimedOut, silent.Why);
        over.Set();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Lane_that_is_cut_fails_the_order_and_is_a_lost_lane_only_before_run(bool running)
    {
        using var scene = new Scene(call =>
        {
            call.Accept();
            call.TryReadMessage(out int length);
            call.Read(new byte[length]);
            call.Abort("cut");
        });
        Task order = running ? scene.Lane.RunAsync(CancellationToken.None) : scene.Lane.LoadStateAsync([], CancellationToken.None);
        Refusal cut = await Assert.ThrowsAsync<Refusal>(() => order);
        Assert.Equal(Because.Unreachable, cut.Why);
        Exception? lost = await Record.ExceptionAsync(() => scene.Reading.WaitAsync(LanePeer.Deadline));
        Assert.Equal(running ? null : typeof(LaneException), lost?.GetType());
    }

    [Fact]
    public async Task Status_of_a_destination_that_ends_the_lane_is_the_reason()
    {
        using var scene = new Scene(call =>
        {
            call.Accept();
            call.Finish(new Refusal(Because.Gone, "given up"));
        });
        Refusal ended = await Assert.ThrowsAsync<Refusal>(() => scene.Reading.WaitAsync(LanePeer.Deadline));
        Assert.Equal((Because.Gone, "given up"), (ended.Why, ended.Message));
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => scene.Lane.LoadStateAsync([], CancellationToken.None));
        Assert.Equal("given up", refused.Message);
    }

    [Fact]
    public async Task Answer_that_nobody_has_asked_for_is_a_lost_lane()
    {
        using var scene = new Scene(call =>
        {
            call.Accept();
            call.Write(new HandoverAnswer { Code = 1 }.ToByteArray());
        });
        LaneException lost = await Assert.ThrowsAsync<LaneException>(() => scene.Reading.WaitAsync(LanePeer.Deadline));
        Assert.Contains("nothing was asked", lost.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(100_000)]
    public async Task Answer_that_is_none_or_too_long_is_a_lost_lane(int length)
    {
        byte[] nonsense = new byte[length];
        Array.Fill(nonsense, (byte)0xff);
        using var scene = new Scene(call =>
        {
            call.Accept();
            call.TryReadMessage(out int order);
            call.Read(new byte[order]);
            call.Write(nonsense);
            call.TryReadMessage(out _);
        });
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => scene.Lane.LoadStateAsync([], CancellationToken.None));
        Assert.Contains("HandoverAnswer", refused.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<LaneException>(() => scene.Reading.WaitAsync(LanePeer.Deadline));
    }

    private static async Task<Thread> ThreadAfterAsync(Task order)
    {
        await order.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return Thread.CurrentThread;
    }

    private static void Serve(LaneCall call, Func<HandoverOrder, HandoverAnswer> answer)
    {
        call.Accept();
        while (call.TryReadMessage(out int length))
        {
            byte[] message = new byte[length];
            call.Read(message);
            call.Write(answer(HandoverOrder.Parser.ParseFrom(message)).ToByteArray());
        }
    }

    /// <summary>A handover lane whose reader runs, and its destination.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly LanePeer _peer;

        public Scene(Action<LaneCall> serve, HandoverPatience? patience = null, LaneOptions? options = null)
        {
            _peer = new LanePeer(serve, options);
            Lane = new HandoverLane(_peer.Call, patience ?? Patient, NullLogger.Instance);
            using var started = new ManualResetEventSlim();
            Reading = LanePeer.Start(() =>
            {
                Reader = Thread.CurrentThread;
                started.Set();
                Lane.ReadAnswers();
            });
            started.Wait(LanePeer.Deadline);
        }

        public HandoverLane Lane { get; }

        public Task Reading { get; }

        public Thread? Reader { get; private set; }

        public void Dispose() => _peer.Dispose();
    }
}
