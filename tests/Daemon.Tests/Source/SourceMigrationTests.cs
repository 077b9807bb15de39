using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Queue;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

public sealed class SourceMigrationTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly ManualClock _clock = new();
    private readonly ConcurrentQueue<string> _calls = new();
    private readonly ConcurrentQueue<(MigrationState State, string Reason)> _announced = new();
    private readonly CancellationTokenSource _shutdown = new();
    private readonly ScriptedGuest _guest = new();
    private readonly HostedGuest _hosted;
    private readonly ScriptedDestination _destination;
    private readonly SourceMigration _migration;
    private readonly MigrationRecord _record;

    public SourceMigrationTests()
    {
        _hosted = HostedGuest.Created(_guest, new MemoryStream(), GuestJournal.None);
        _hosted.Resume();
        _destination = new ScriptedDestination("there:1", _calls);
        var node = new SourceNode(
            "here", new MigrationLog(), new MigrationTimeouts(Soon, Soon, TimeSpan.FromSeconds(300)), PeerSecurity.None,
            new MigrationQueue(1), _ => _destination, NullLogger.Instance)
        {
            Time = _clock,
        };
        _migration = SourceMigration.Begin(node, _hosted, MigrationPlan.Postcopy("there:1"), out _record);
        _record.Entered += () => _announced.Enqueue((_record.State, _record.Snapshot().Reason));
    }

    public void Dispose()
    {
        _guest.Memory.Dispose();
        _shutdown.Dispose();
    }

    // ---- the way of a guest that goes

    [Fact]
    public async Task Guest_goes_by_postcopy_in_order()
    {
        await RunAsync();
        Assert.Equal(
            [
                "prepare", "open lanes of session", "start push", "load state", "run", "guest runs", "complete", "close lanes that are done",
                "dispose lanes", "dispose",
            ],
            _calls);
        Assert.Equal(["resume", "pause", "release", "dispose"], _guest.Calls);
        Assert.Equal([MigrationState.Device, MigrationState.Device, MigrationState.PostcopyActive, MigrationState.Completed], States());
        Assert.Equal((true, GuestState.Migrated), (_hosted.IsGone, _hosted.Snapshot().State));
        Assert.True(_record.Snapshot().DowntimeUs > 0);
    }

    // ---- what fails before the guest is given away

    [Fact]
    public async Task State_that_is_refused_lets_the_guest_go_on_here_before_the_destination_is_told()
    {
        _destination.OnLoadState = _ =>
        {
            Assert.False(_guest.IsRunning);
            throw new Refusal(Because.NotNow, "no such section");
        };
        await RunAsync();
        Assert.Equal(["load state", "close lanes", "abort: no such section", "dispose lanes", "dispose"], _calls.Skip(3));
        Assert.Equal((MigrationState.Failed, "no such section"), _announced.Last());
        Assert.True(_guest.IsRunning);
        _hosted.Pause();
    }

    [Fact]
    public async Task Cancel_ends_what_is_waited_for_and_is_the_reason()
    {
        _destination.OnPrepare = stop =>
        {
            Task never = Task.Delay(Timeout.InfiniteTimeSpan, stop);
            _migration.Cancel();
            return never;
        };
        await RunAsync();
        Assert.Equal((MigrationState.Cancelled, "cancelled by an operator"), _announced.Last());
        Assert.Equal(["prepare", "abort: cancelled by an operator", "dispose"], _calls);
        Assert.Equal(["resume", "resume", "claim"], _guest.Calls);
    }

    [Fact]
    public async Task Cancel_before_the_first_step_asks_nothing_of_the_destination()
    {
        _migration.Cancel();
        await RunAsync();
        Assert.Equal((MigrationState.Cancelled, "cancelled by an operator"), _announced.Last());
        Assert.Equal(["dispose"], _calls);
        Assert.True(_guest.IsRunning);
    }

    [Fact]
    public async Task Guest_that_is_given_away_is_not_cancelled()
    {
        Refusal? refused = null;
        _destination.OnRun = _ =>
        {
            refused = Assert.Throws<Refusal>(_migration.Cancel);
            return Task.CompletedTask;
        };
        await RunAsync();
        Assert.Contains("the guest has been given to the destination", refused?.Message, StringComparison.Ordinal);
        Assert.Equal(MigrationState.Completed, _record.State);
    }

    [Fact]
    public async Task Daemon_that_stops_before_the_guest_has_gone_says_so()
    {
        _destination.OnPrepare = stop => Task.Delay(Timeout.InfiniteTimeSpan, stop);
        Task running = RunAsync();
        await _shutdown.CancelAsync();
        await running;
        Assert.Equal((MigrationState.Failed, "this daemon is stopping"), _announced.Last());
    }

    // ---- when Run is not answered

    [Theory]
    [InlineData(Outcome.Running)]
    [InlineData(Outcome.NeverStarted)]
    public async Task Destination_is_asked_when_it_does_not_answer_run(Outcome outcome)
    {
        _destination.OnRun = _ => throw new Refusal(Because.TimedOut, "no answer");
        _destination.OnOutcome = _ =>
        {
            Assert.False(_guest.IsRunning);
            return Task.FromResult(outcome);
        };
        await RunAsync();
        Assert.Contains(
            (MigrationState.Device, "the destination has not said whether the guest runs there: no answer"), _announced);
        Assert.Equal(
            outcome == Outcome.Running
                ? (MigrationState.Completed, "")
                : (MigrationState.Failed, "the destination never started the guest"),
            _announced.Last());
        Assert.Equal(outcome == Outcome.NeverStarted, _guest.IsRunning);
        Assert.DoesNotContain(_calls, call => call.StartsWith("abort", StringComparison.Ordinal));
    }

    // ---- a lost link

    [Fact]
    public async Task Lost_link_is_restored()
    {
        LoseLanesOnce();
        var lanes = new ScriptedLanes(_calls);
        _destination.OnRecover = _ => Task.FromResult<ISourceLanes?>(lanes);
        await RunAsync(IsOver);
        Assert.Equal(
            [MigrationState.Device, MigrationState.Device, MigrationState.PostcopyActive, MigrationState.PostcopyPaused,
                MigrationState.PostcopyActive, MigrationState.Completed],
            States());
        Assert.StartsWith(
            "a page lane is lost: reset.", _announced.Single(one => one.State == MigrationState.PostcopyPaused).Reason,
            StringComparison.Ordinal);
        Assert.Equal(("", 1u), (_announced.Last().Reason, _record.Snapshot().Recoveries));
    }

    [Fact]
    public async Task Destination_that_has_every_page_when_it_is_asked_again_completes_it()
    {
        LoseLanesOnce();
        await RunAsync(IsOver);
        Assert.Equal([MigrationState.PostcopyPaused, MigrationState.Completed], States()[^2..]);
        Assert.True(_hosted.IsGone);
    }

    [Fact]
    public async Task Recovery_that_is_given_up_waits_for_an_order_which_is_said_at_once()
    {
        LoseLanesOnce();
        _destination.OnRecover = NeverAsync;
        await RunAsync(() => IsPaused("was not reached within 300 s"));
        _destination.OnRecover = _ =>
        {
            _destination.Home = _destination.Address;
            return Task.FromResult<ISourceLanes?>(null);
        };
        _migration.Recover("there:2");
        Assert.Equal(
            (MigrationState.PostcopyPaused, "the destination there:2 is dialled again, by an operator's order"), _announced.First(
                one => one.Reason.Contains("dialled again, by", StringComparison.Ordinal)));
        await UntilAsync(IsOver);
        Assert.Contains("move to there:2", _calls);
        // The order is announced by who gave it, and not once more by who carries it out.
        Assert.Single(
            _announced,
            one => one.State == MigrationState.PostcopyPaused && one.Reason.Contains("dialled again, by", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Order_to_dial_again_ends_the_attempt_that_is_under_way()
    {
        LoseLanesOnce();
        _destination.OnRecover = NeverAsync;
        await RunAsync(() => _calls.Contains("recover"));
        _destination.OnRecover = _ => Task.FromResult<ISourceLanes?>(null);
        _migration.Recover("");
        await UntilAsync(IsOver);
        Assert.DoesNotContain(_announced, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Stranger_at_the_address_of_an_order_says_nothing_of_the_guest()
    {
        LoseLanesOnce();
        _destination.OnRecover = NeverAsync;
        await RunAsync(() => IsPaused("was not reached within"));
        _destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        _migration.Recover("stranger:1");
        await UntilAsync(() => IsPaused("the daemon at stranger:1 answers and knows nothing of this migration"));
        Assert.Equal("there:1", _destination.Address);
    }

    [Fact]
    public async Task Guest_goes_on_here_only_when_the_destination_has_not_got_it()
    {
        LoseLanesOnce();
        _destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        await RunAsync(() => IsPaused("answers and does not have the guest any more: no such session"));
        _destination.Word = DestinationWord.HasGuest;
        Assert.Contains("must not run twice", await RefusedAsync(force: true), StringComparison.Ordinal);
        _destination.Word = DestinationWord.Silent;
        Assert.Contains("repeat this with --force", await RefusedAsync(force: false), StringComparison.Ordinal);
        Assert.False(_guest.IsRunning);
        await _migration.ResumeHereAsync(force: true, CancellationToken.None);
        await UntilAsync(IsOver);
        Assert.Equal(
            (MigrationState.Failed,
                "an operator let the guest go on here, as it was at the switchover; what it did on the destination is lost"),
            _announced.Last());
        Assert.True(_guest.IsRunning);
        _hosted.Pause();

        async Task<string> RefusedAsync(bool force) =>
            (await Assert.ThrowsAsync<Refusal>(() => _migration.ResumeHereAsync(force, CancellationToken.None))).Message;
    }

    [Fact]
    public async Task Daemon_that_stops_leaves_a_lost_link_as_it_is()
    {
        LoseLanesOnce();
        _destination.OnRecover = NeverAsync;
        Task running = _migration.RunAsync(_shutdown.Token);
        await UntilAsync(() => _calls.Contains("recover"));
        await _shutdown.CancelAsync();
        await running.WaitAsync(Soon);
        Assert.Equal(MigrationState.PostcopyPaused, _record.State);
        Assert.Equal(GuestState.Migrated, _hosted.Snapshot().State);
        Assert.DoesNotContain("dispose", _calls);
    }

    // ---- what operators order at the wrong time

    [Fact]
    public async Task Orders_are_refused_where_they_make_no_sense()
    {
        var refusals = new List<string>();
        _destination.OnPrepare = async _ =>
        {
            refusals.Add(Assert.Throws<Refusal>(() => _migration.Recover("")).Message);
            refusals.Add(Assert.Throws<Refusal>(_migration.StartPostcopy).Message);
            refusals.Add((await Assert.ThrowsAsync<Refusal>(() => _migration.ResumeHereAsync(true, CancellationToken.None))).Message);
        };
        await RunAsync();
        Assert.Collection(
            refusals,
            one => Assert.EndsWith("only a migration that is postcopy-paused can be recovered", one, StringComparison.Ordinal),
            one => Assert.EndsWith("its mode is postcopy; only one that is hybrid has both", one, StringComparison.Ordinal),
            one => Assert.EndsWith(
                "only a guest whose destination cannot be reached can be resumed here", one, StringComparison.Ordinal));
        Assert.Equal(MigrationState.Completed, _record.State);
    }

    private static async Task<ISourceLanes?> NeverAsync(CancellationToken cancel)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
        return null;
    }

    private bool IsOver() => _record.IsFinal && _calls.Contains("dispose");

    private bool IsPaused(string why) =>
        _record.Snapshot() is { State: MigrationState.PostcopyPaused } now && now.Reason.Contains(why, StringComparison.Ordinal);

    /// <summary>The states that were announced after the setup.</summary>
    private MigrationState[] States() => [.. _announced.Select(one => one.State).SkipWhile(state => state == MigrationState.Setup)];

    private void LoseLanesOnce()
    {
        bool lost = false;
        _destination.OnComplete = async cancel =>
        {
            if (!lost)
            {
                lost = true;
                _destination.Lanes.Lose("reset");
                await Task.Delay(Timeout.InfiniteTimeSpan, cancel);
            }
        };
    }

    private Task RunAsync() => _migration.RunAsync(_shutdown.Token).WaitAsync(Soon);

    /// <summary>Runs it until this is so, while the clock goes on.</summary>
    private Task RunAsync(Func<bool> condition)
    {
        _ = _migration.RunAsync(_shutdown.Token);
        return UntilAsync(condition);
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(Soon);
        while (!condition())
        {
            _clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(1, deadline.Token);
        }
    }
}
