using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class DestinationSessionTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly ManualClock _clock = new();
    private readonly RecordedLog _log = new();
    private readonly DestinationPatience _patience =
        new(TimeSpan.FromSeconds(40), TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(300));

    private readonly MigrationRecord _record =
        new("0123456789ab", "one", MigrationRole.Destination, "source", MigrationMode.Postcopy, 512);

    private ScriptedIncoming _incoming = new();

    // ---- the way of a guest that comes

    [Fact]
    public async Task Guest_comes_by_postcopy_in_order()
    {
        DestinationSession session = Start();
        Assert.Equal((PageCompression.Zstd, true, false), (session.Compression, session.HasHandoverLane, session.IsEnded));
        _incoming.OpenLanes();
        Assert.Equal(MigrationState.Setup, _record.State);
        await session.LoadStateAsync(new byte[] { 1 });
        Assert.Equal(MigrationState.Device, _record.State);
        session.Run();
        Assert.Equal((MigrationState.PostcopyActive, 1000ul), (_record.State, _record.Snapshot().DowntimeBytes));
        _incoming.ReceiveAll();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        await session.FinishAsync().WaitAsync(Soon);
        Assert.Equal(MigrationState.Completed, _record.State);
        Assert.Equal(["begin loading", "load", "arrive", "settle", "close"], await CallsAsync("close"));
    }

    [Fact]
    public void Orders_at_the_switchover_are_carried_out_on_the_thread_that_brings_them()
    {
        DestinationSession session = Start();
        Thread? loadedOn = null;
        _incoming.OnLoad = () => loadedOn = Thread.CurrentThread;
        session.LoadState(new byte[] { 1 });
        session.Run();
        Assert.Same(Thread.CurrentThread, loadedOn);
        Assert.Same(Thread.CurrentThread, _incoming.ArrivedOn);
    }

    [Fact]
    public async Task Guest_that_was_all_here_before_it_ran_is_finished_when_it_runs()
    {
        DestinationSession session = Start();
        _incoming.OpenLanes();
        _incoming.ReceiveAll();
        session.LoadState(new byte[] { 1 });
        Assert.False(session.IsEnded);
        session.Run();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        Assert.Equal(["begin loading", "load", "arrive", "settle", "close"], await CallsAsync("close"));
    }

    [Fact]
    public async Task Pages_that_all_came_are_said_as_often_as_they_like()
    {
        DestinationSession session = StartRunning();
        _incoming.ReceiveAll();
        _incoming.ReceiveAll();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        _incoming.ReceiveAll();
        Assert.Single(await CallsAsync("close"), "settle");
    }

    [Fact]
    public async Task Settling_is_tried_again()
    {
        DestinationSession session = StartRunning();
        int attempts = 0;
        _incoming.OnSettle = () => _ = ++attempts < 3 ? throw new IOException("not yet") : 0;
        _incoming.ReceiveAll();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        Assert.Equal((3, 2), (attempts, _log.Errors.Count));
        Assert.Equal(MigrationState.Completed, _record.State);
    }

    [Fact]
    public async Task Settling_that_cannot_be_done_ends_the_session_and_not_the_guest()
    {
        DestinationSession session = StartRunning();
        _incoming.OnSettle = () => throw new IOException("the disk is gone");
        _incoming.ReceiveAll();
        Refusal ended = await Assert.ThrowsAsync<Refusal>(() => session.CompleteAsync(CancellationToken.None).WaitAsync(Soon));
        Assert.Equal((Because.Gone, "migration 0123456789ab of guest 'one' cannot be finished here: the disk is gone"), (ended.Why, ended.Message));
        Assert.EndsWith("finishing failed", _log.Errors[^1], StringComparison.Ordinal);
        Assert.True((await session.RecoverAsync()).Complete);
        Assert.DoesNotContain(_incoming.Calls, call => call.StartsWith("discard", StringComparison.Ordinal));
    }

    // ---- what is asked at the wrong time

    [Fact]
    public async Task State_is_loaded_once()
    {
        DestinationSession session = Start();
        await session.LoadStateAsync(new byte[] { 1 });
        Refusal again = await Assert.ThrowsAsync<Refusal>(() => session.LoadStateAsync(new byte[] { 1 }));
        Assert.Equal(
            (Because.NotNow, "load device state in migration 0123456789ab of guest 'one': the session is in state Ready here"),
            (again.Why, again.Message));
        Assert.Single(_incoming.Calls, "load");
    }

    [Fact]
    public void Guest_does_not_run_before_it_is_loaded()
    {
        DestinationSession session = Start();
        Refusal early = Assert.Throws<Refusal>(session.Run);
        Assert.Equal("run in migration 0123456789ab of guest 'one': the session is in state Prepared here", early.Message);
        Assert.Empty(_incoming.Calls);
    }

    [Fact]
    public async Task Run_and_its_question_may_come_twice()
    {
        DestinationSession session = StartRunning();
        session.Run();
        Assert.Equal(Outcome.Running, await session.AskOutcomeAsync());
        Assert.Single(_incoming.Calls, "arrive");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Pages_are_forgotten_in_precopy_before_the_state_is_loaded(bool precopy)
    {
        _incoming = new ScriptedIncoming { HasPrecopy = precopy };
        DestinationSession session = Start();
        if (precopy)
        {
            session.Forget([3, 2]);
            Assert.Equal(["forget 3 2"], _incoming.Calls);
            session.LoadState(new byte[] { 1 });
        }

        Refusal late = Assert.Throws<Refusal>(() => session.Forget([3, 2]));
        Assert.EndsWith(
            precopy ? "the session is in state Ready here" : "the session is in state Prepared here, without precopy", late.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guest_that_runs_here_is_not_aborted()
    {
        DestinationSession session = StartRunning();
        Refusal late = await Assert.ThrowsAsync<Refusal>(() => session.AbortAsync("a wish"));
        Assert.Equal("abort migration 0123456789ab: guest 'one' runs here already", late.Message);
        await session.ReplaceAsync().WaitAsync(Soon);
        Assert.Equal(MigrationState.PostcopyActive, _record.State);
    }

    // ---- giving up before the guest runs

    [Fact]
    public async Task Being_asked_before_run_closes_the_door()
    {
        DestinationSession session = StartReady();
        var discarding = new TaskCompletionSource();
        _incoming.Discarding = discarding.Task;
        Task<Outcome> outcome = session.AskOutcomeAsync();
        await CallsAsync("discard: the source asked before it had been started here");
        Assert.Throws<Refusal>(session.Run);
        // The promise is given when nothing is left of the guest, and not before.
        Assert.False(outcome.IsCompleted);
        discarding.SetResult();
        Assert.Equal(Outcome.NeverStarted, await outcome.WaitAsync(Soon));
        Assert.Equal(Outcome.NeverStarted, await session.AskOutcomeAsync().WaitAsync(Soon));
        Assert.DoesNotContain("arrive", _incoming.Calls);
        await EndsAsync(session, "the source asked before it had been started here");
    }

    [Fact]
    public async Task Source_that_gives_up_is_waited_for_no_longer()
    {
        DestinationSession session = Start();
        await session.AbortAsync("an operator cancelled it").WaitAsync(Soon);
        await session.AbortAsync("once more").WaitAsync(Soon);
        await EndsAsync(session, "the source gave up: an operator cancelled it");
        Assert.Equal((MigrationState.Failed, "the source gave up: an operator cancelled it"), (_record.State, _record.Snapshot().Reason));
    }

    [Fact]
    public async Task Lost_lane_before_run_is_the_end()
    {
        DestinationSession session = StartReady();
        _incoming.LoseLane("push", "reset");
        Assert.Throws<Refusal>(session.Run);
        await EndsAsync(session, "the push lane is lost: reset. The guest goes on with the pages that are here, and the source is waited for");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task State_that_cannot_be_loaded_is_refused_when_nothing_is_left_of_the_guest(bool onLane)
    {
        DestinationSession session = Start();
        var discarding = new TaskCompletionSource();
        _incoming.Discarding = discarding.Task;
        _incoming.OnLoad = () => throw new IOException("no such section");
        Task loading = onLane
            ? Task.Factory.StartNew(() => session.LoadState(new byte[] { 1 }), TaskCreationOptions.LongRunning)
            : session.LoadStateAsync(new byte[] { 1 });
        await CallsAsync("discard: its device state cannot be loaded: no such section");
        Assert.False(loading.IsCompleted);
        discarding.SetResult();
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => loading.WaitAsync(Soon));
        Assert.Equal(
            (Because.NotNow, "guest 'one' cannot start on this node: its device state cannot be loaded: no such section"),
            (refused.Why, refused.Message));
        Assert.EndsWith("loading the device state failed", Assert.Single(_log.Errors), StringComparison.Ordinal);
        await EndsAsync(session, "its device state cannot be loaded: no such section");
    }

    [Fact]
    public async Task Source_that_gives_up_while_the_state_is_loaded_ends_it()
    {
        DestinationSession session = Start();
        using var loading = new ManualResetEventSlim();
        _incoming.OnLoad = () => loading.Wait(Soon);
        Task loaded = session.LoadStateAsync(new byte[] { 1 });
        await CallsAsync("load");
        await session.AbortAsync("a wish").WaitAsync(Soon);
        loading.Set();
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => loaded.WaitAsync(Soon));
        Assert.EndsWith("the session is in state NeverStarted here (the source gave up: a wish)", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Discarding_that_fails_ends_the_session_and_is_told_to_who_asked()
    {
        DestinationSession session = Start();
        _incoming.Discarding = Task.FromException(new IOException("munmap failed"));
        await Assert.ThrowsAsync<IOException>(() => session.AskOutcomeAsync().WaitAsync(Soon));
        Assert.Single(_log.Errors);
        Refusal ended = await Assert.ThrowsAsync<Refusal>(() => session.CompleteAsync(CancellationToken.None).WaitAsync(Soon));
        Assert.Equal(Because.Gone, ended.Why);
    }

    [Fact]
    public async Task Newer_prepare_waits_until_nothing_is_left_of_the_older_one()
    {
        DestinationSession session = Start();
        var discarding = new TaskCompletionSource();
        _incoming.Discarding = discarding.Task;
        _incoming.LoseLane("urgent", "reset");
        Task replaced = session.ReplaceAsync();
        Assert.False(replaced.IsCompleted);
        discarding.SetResult();
        await replaced.WaitAsync(Soon);
        Assert.True(session.IsEnded);
    }

    // ---- patience

    [Fact]
    public async Task Source_without_lanes_is_given_up()
    {
        DestinationSession session = Start();
        _clock.Advance(_patience.Lanes - TimeSpan.FromSeconds(1));
        Assert.Empty(_incoming.Calls);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await EndsAsync(session, "the source did not open its lanes within 40 s");
    }

    [Fact]
    public async Task Source_with_lanes_that_does_not_start_the_guest_is_given_up()
    {
        DestinationSession session = Start();
        _clock.Advance(TimeSpan.FromSeconds(30));
        _incoming.OpenLanes();
        _clock.Advance(TimeSpan.FromSeconds(59));
        Assert.False(session.IsEnded);
        session.LoadState(new byte[] { 1 });
        _clock.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(["begin loading", "load"], _incoming.Calls);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await EndsAsync(session, "the source did not start the guest within 60 s");
    }

    [Fact]
    public async Task Precopy_takes_as_long_as_it_takes()
    {
        _incoming = new ScriptedIncoming { HasPrecopy = true };
        DestinationSession session = Start();
        _incoming.OpenLanes();
        Assert.Equal(MigrationState.PrecopyActive, _record.State);
        _clock.Advance(TimeSpan.FromDays(3));
        Assert.Empty(_incoming.Calls);
        session.LoadState(new byte[] { 1 });
        _clock.Advance(_patience.Run);
        await EndsAsync(session, "the source did not start the guest within 60 s");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Source_whose_lanes_are_noticed_after_its_state_is_not_waited_for_without_end(bool precopy)
    {
        _incoming = new ScriptedIncoming { HasPrecopy = precopy };
        DestinationSession session = Start();
        session.LoadState(new byte[] { 1 });
        _clock.Advance(TimeSpan.FromSeconds(59));
        _incoming.OpenLanes();
        Assert.Equal(MigrationState.Device, _record.State);
        _clock.Advance(TimeSpan.FromSeconds(1));
        await EndsAsync(session, "the source did not start the guest within 60 s");
    }

    [Fact]
    public void Guest_that_runs_is_waited_for_without_end()
    {
        StartRunning();
        _clock.Advance(TimeSpan.FromDays(3));
        Assert.Equal(MigrationState.PostcopyActive, _record.State);
    }

    // ---- a lost link

    [Fact]
    public async Task Link_is_restored_with_a_new_secret()
    {
        DestinationSession session = StartRunning();
        byte[] secret = session.Secret.ToArray();
        _incoming.LoseLane("urgent", "silence");
        Assert.Equal(
            (MigrationState.PostcopyPaused,
                "the urgent lane is lost: silence. The guest goes on with the pages that are here, and the source is waited for"),
            (_record.State, _record.Snapshot().Reason));
        RecoverResponse answer = await session.RecoverAsync();
        Assert.Equal(MigrationState.PostcopyRecover, _record.State);
        Assert.False(answer.Complete);
        Assert.False(session.IsSecret(secret));
        Assert.True(session.IsSecret(answer.Secret.Span));
        Assert.Contains("close lanes: the source opens new lanes", _incoming.Calls);
        _incoming.OpenLanes();
        Assert.Equal((MigrationState.PostcopyActive, "", 1u), (_record.State, _record.Snapshot().Reason, _record.Snapshot().Recoveries));
        _clock.Advance(TimeSpan.FromDays(3));
        Assert.Equal(MigrationState.PostcopyActive, _record.State);
    }

    [Fact]
    public async Task Recoveries_are_answered_one_after_the_other()
    {
        DestinationSession session = StartRunning();
        var closing = new TaskCompletionSource();
        _incoming.Closing = closing.Task;
        Task<RecoverResponse> first = session.RecoverAsync();
        Task<RecoverResponse> second = session.RecoverAsync();
        Assert.Single(_incoming.Calls, call => call.StartsWith("close lanes", StringComparison.Ordinal));
        closing.SetResult();
        RecoverResponse newest = await second.WaitAsync(Soon);
        Assert.False(session.IsSecret((await first.WaitAsync(Soon)).Secret.Span));
        Assert.True(session.IsSecret(newest.Secret.Span));
    }

    [Fact]
    public async Task Pages_that_all_came_while_the_link_was_lost_complete_it()
    {
        DestinationSession session = StartRunning();
        _incoming.LoseLane("urgent", "silence");
        _incoming.ReceiveAll();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        Assert.True((await session.RecoverAsync()).Complete);
        Assert.DoesNotContain(_incoming.Calls, call => call.StartsWith("close lanes", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Source_that_does_not_come_back_is_gone_attempts_or_not()
    {
        DestinationSession session = StartRunning();
        _incoming.LoseLane("urgent", "silence");
        _clock.Advance(TimeSpan.FromSeconds(200));
        await session.RecoverAsync();
        _incoming.LoseLane("push", "reset");
        _clock.Advance(TimeSpan.FromSeconds(99));
        Assert.Equal(MigrationState.PostcopyPaused, _record.State);
        _clock.Advance(TimeSpan.FromSeconds(1));
        Migration lost = _record.Snapshot();
        Assert.Equal((MigrationState.Failed, 500ul), (lost.State, lost.PagesLost));
        Assert.StartsWith(
            "the source did not come back within 300 s, and 500 of 512 pages of guest 'one' are lost with it.", lost.Reason,
            StringComparison.Ordinal);
        Assert.Equal($"lose: {lost.Reason}", _incoming.Calls[^1]);
        await session.FinishAsync().WaitAsync(Soon);
        Assert.False(session.IsEnded);
    }

    [Fact]
    public void Time_in_which_the_link_is_lost_counts_anew_each_time()
    {
        StartRunning();
        for (int time = 0; time < 3; time++)
        {
            _incoming.LoseLane("urgent", "silence");
            _clock.Advance(TimeSpan.FromSeconds(200));
            _incoming.OpenLanes();
        }

        Assert.Equal((MigrationState.PostcopyActive, 3u), (_record.State, _record.Snapshot().Recoveries));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Lost_guest_goes_on_when_its_source_is_back(bool byLanes)
    {
        DestinationSession session = StartLost();
        if (byLanes)
        {
            _incoming.OpenLanes();
            Assert.Equal(MigrationState.PostcopyActive, _record.State);
        }
        else
        {
            await session.RecoverAsync();
            Assert.Equal(MigrationState.PostcopyRecover, _record.State);
            _incoming.OpenLanes();
        }

        Assert.Contains("revive", _incoming.Calls);
        Assert.Equal((1u, 0ul), (_record.Snapshot().Recoveries, _record.Snapshot().PagesLost));
        _incoming.ReceiveAll();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
        Assert.Equal(MigrationState.Completed, _record.State);
    }

    [Fact]
    public async Task Last_page_that_came_while_the_guest_was_lost_counts_when_the_lanes_are_back()
    {
        DestinationSession session = StartLost();
        _incoming.ReceiveAll();
        Assert.Equal(MigrationState.Failed, _record.State);
        _incoming.OpenLanes();
        await session.CompleteAsync(CancellationToken.None).WaitAsync(Soon);
    }

    [Fact]
    public void Only_the_source_of_a_paused_migration_can_be_given_up()
    {
        DestinationSession session = StartRunning();
        Refusal early = Assert.Throws<Refusal>(session.GiveUp);
        Assert.Contains("it is postcopy-active here", early.Message, StringComparison.Ordinal);
        _incoming.LoseLane("urgent", "silence");
        session.GiveUp();
        Assert.StartsWith("an operator gave the source up, and 500 of 512 pages", _record.Snapshot().Reason, StringComparison.Ordinal);
        Assert.Throws<Refusal>(session.GiveUp);
    }

    [Fact]
    public async Task Lost_guest_that_is_deleted_is_discarded()
    {
        DestinationSession session = StartLost();
        await _incoming.Forgetting!().WaitAsync(Soon);
        await EndsAsync(session, "the lost guest was deleted");
        await Assert.ThrowsAsync<Refusal>(() => _incoming.Forgetting!());
        await Assert.ThrowsAsync<Refusal>(session.RecoverAsync);
    }

    [Fact]
    public async Task Guest_whose_source_is_back_is_not_deleted_as_a_lost_one()
    {
        DestinationSession session = StartLost();
        await session.RecoverAsync();
        Refusal late = await Assert.ThrowsAsync<Refusal>(() => _incoming.Forgetting!());
        Assert.Equal(
            "delete the guest in migration 0123456789ab of guest 'one': the session is in state PostcopyRecover here", late.Message);
        Assert.DoesNotContain(_incoming.Calls, call => call.StartsWith("discard", StringComparison.Ordinal));
    }

    // ---- a daemon that stops

    [Fact]
    public async Task Daemon_that_stops_gives_up_what_has_not_run()
    {
        DestinationSession session = StartReady();
        await session.FinishAsync().WaitAsync(Soon);
        await EndsAsync(session, "this daemon is stopping");
    }

    [Fact]
    public async Task Daemon_that_stops_waits_for_pages()
    {
        DestinationSession session = StartRunning();
        Task finished = session.FinishAsync();
        _incoming.LoseLane("urgent", "silence");
        Assert.False(finished.IsCompleted);
        session.GiveUp();
        await finished.WaitAsync(Soon);
    }

    private DestinationSession Start() => new(_incoming, _record, _patience, _clock, _log);

    private DestinationSession StartReady()
    {
        DestinationSession session = Start();
        _incoming.OpenLanes();
        session.LoadState(new byte[] { 1 });
        return session;
    }

    private DestinationSession StartRunning()
    {
        DestinationSession session = StartReady();
        session.Run();
        return session;
    }

    private DestinationSession StartLost()
    {
        DestinationSession session = StartRunning();
        _incoming.LoseLane("urgent", "silence");
        session.GiveUp();
        return session;
    }

    /// <summary>What was done with the guest, once this has been.</summary>
    private async Task<IReadOnlyList<string>> CallsAsync(string last)
    {
        using var deadline = new CancellationTokenSource(Soon);
        while (!_incoming.Calls.Contains(last))
        {
            await Task.Delay(1, deadline.Token);
        }

        return _incoming.Calls;
    }

    /// <summary>Nothing is left of the session but its end, and no lane is served any more.</summary>
    private async Task EndsAsync(DestinationSession session, string why)
    {
        Refusal ended = await Assert.ThrowsAsync<Refusal>(() => session.CompleteAsync(CancellationToken.None).WaitAsync(Soon));
        Assert.Equal((Because.Gone, $"migration 0123456789ab of guest 'one' ended here: {why}"), (ended.Why, ended.Message));
        Assert.True(session.IsEnded);
        Assert.Equal(MigrationState.Failed, _record.State);
        Assert.Contains($"discard: {why}", _incoming.Calls);
        Assert.Throws<Refusal>(session.Run);
        Refusal closed = Assert.Throws<Refusal>(() => session.Serve(null!));
        Assert.Equal((Because.Gone, "the session of guest 'one' has ended"), (closed.Why, closed.Message));
    }
}
