using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class HandoverOrdersTests
{
    private static readonly HandoverOrder Run = new() { Run = new RunRequest() };

    [Fact]
    public void Orders_are_carried_out_in_turn_on_one_thread_and_run_ends_the_lane()
    {
        using var scene = new Scene();
        Assert.Equal(0u, scene.Ask(new HandoverOrder { Forget = new ForgetRequest { StaleRuns = { 3, 2 } } }).Code);
        Assert.Equal(0u, scene.Ask(Load(7)).Code);
        Assert.Equal(0u, scene.Ask(Run).Code);
        Assert.False(scene.Call.TryReadMessage(out _));
        Assert.Equal(["Forget 3,2", "LoadState 7", "Run"], scene.Target.CarriedOut.Select(one => one.What));
        Assert.Single(scene.Target.CarriedOut.Select(one => one.On).Distinct());
    }

    [Fact]
    public void Orders_that_came_together_are_answered_one_by_one()
    {
        using var scene = new Scene();
        scene.Call.Write(Load(1).ToByteArray());
        scene.Call.Write(Load(2).ToByteArray());
        scene.Call.Write(Run.ToByteArray());
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(0u, scene.Answer().Code);
        }

        Assert.Equal(["LoadState 1", "LoadState 2", "Run"], scene.Target.CarriedOut.Select(one => one.What));
    }

    [Fact]
    public void Refusal_is_answered_in_words_and_the_lane_goes_on()
    {
        using var scene = new Scene();
        scene.Target.OnRun = () => throw new Refusal(Because.NotNow, "it is not loaded");
        HandoverAnswer refused = scene.Ask(Run);
        Assert.Equal(((uint)Because.NotNow, "it is not loaded"), (refused.Code, refused.Message));
        scene.Target.OnRun = () => { };
        Assert.Equal(0u, scene.Ask(Run).Code);
    }

    [Fact]
    public void Failure_that_nobody_foresaw_is_internal_and_says_nothing_of_its_cause()
    {
        using var scene = new Scene();
        scene.Target.OnRun = () => throw new InvalidOperationException("secret");
        HandoverAnswer failed = scene.Ask(Run);
        Assert.Equal((uint)Because.Failed, failed.Code);
        Assert.DoesNotContain("secret", failed.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Session_that_ends_while_an_order_is_carried_out_lets_its_answer_through()
    {
        using var scene = new Scene();
        scene.Target.OnRun = () =>
        {
            scene.Orders!.End("given up");
            throw new Refusal(Because.NotNow, "it cannot be loaded");
        };
        Assert.Equal("it cannot be loaded", scene.Ask(Run).Message);
        Assert.ThrowsAny<Exception>(() => scene.Call.TryReadMessage(out _));
        Assert.Equal(LaneFailure.Aborted, scene.Failure()?.Kind);
    }

    [Fact]
    public void Session_that_ends_between_orders_ends_the_lane_at_once()
    {
        using var scene = new Scene();
        Assert.Equal(0u, scene.Ask(Load(1)).Code);
        scene.Orders!.End("given up");
        Assert.Equal(LaneFailure.Aborted, scene.Failure()?.Kind);
        Assert.Single(scene.Target.CarriedOut);
    }

    [Fact]
    public void Source_that_closes_it_before_run_is_no_failure_of_the_lane()
    {
        using var scene = new Scene();
        scene.Call.FinishWriting();
        Assert.Null(scene.Failure());
        Assert.Empty(scene.Target.CarriedOut);
    }

    [Theory]
    [InlineData(new byte[0], "without any order")]
    [InlineData(new byte[] { 0x12, 0x05, 0x01 }, "malformed")]
    [InlineData(new byte[] { 0xff }, "malformed")]
    [InlineData(new byte[] { 0x22, 0x00 }, "without any order")]
    public void Message_that_is_no_order_ends_the_call_with_a_status(byte[] message, string words)
    {
        using var scene = new Scene();
        scene.Call.Write(message);
        Refusal refused = Assert.Throws<Refusal>(() => scene.Call.TryReadMessage(out _));
        Assert.Equal(Because.Invalid, refused.Why);
        Assert.Contains(words, refused.Message, StringComparison.Ordinal);
        Assert.Empty(scene.Target.CarriedOut);
    }

    [Fact]
    public async Task Source_hears_of_the_destination_while_an_order_takes_long()
    {
        using var over = new ManualResetEventSlim();
        using var scene = new Scene();
        scene.Target.OnRun = () => over.Wait(LanePeer.Deadline);
        scene.Call.Write(Run.ToByteArray());
        long heard = scene.Call.BytesRead;
        Task<HandoverAnswer> answer = LanePeer.Start(scene.Answer);
        Assert.True(SpinWait.SpinUntil(() => scene.Call.BytesRead > heard, LanePeer.Deadline));
        Assert.False(answer.IsCompleted);
        over.Set();
        Assert.Equal(0u, (await answer.WaitAsync(LanePeer.Deadline)).Code);
    }

    private static HandoverOrder Load(byte state) =>
        new() { LoadState = new LoadStateRequest { DeviceState = ByteString.CopyFrom(state) } };

    /// <summary>A source's end of a handover lane, and a destination that notes what it is told.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly LanePeer _peer;
        private readonly TaskCompletionSource<LaneException?> _ended = new();

        public Scene() => _peer = new LanePeer(Serve);

        public ScriptedTarget Target { get; } = new();

        public HandoverOrders? Orders { get; private set; }

        public LaneCall Call => _peer.Call;

        public HandoverAnswer Ask(HandoverOrder order)
        {
            Call.Write(order.ToByteArray());
            return Answer();
        }

        public HandoverAnswer Answer()
        {
            Assert.True(Call.TryReadMessage(out int length));
            byte[] message = new byte[length];
            Call.Read(message);
            return HandoverAnswer.Parser.ParseFrom(message);
        }

        /// <summary>What serving has ended with.</summary>
        public LaneException? Failure() => _ended.Task.WaitAsync(LanePeer.Deadline).GetAwaiter().GetResult();

        public void Dispose() => _peer.Dispose();

        private void Serve(LaneCall call)
        {
            using var orders = new HandoverOrders(call, Target, "g", NullLogger.Instance);
            Orders = orders;
            call.Accept();
            try
            {
                orders.Run();
                _ended.TrySetResult(null);
            }
            catch (LaneException error)
            {
                _ended.TrySetResult(error);
                throw;
            }
        }
    }
}
