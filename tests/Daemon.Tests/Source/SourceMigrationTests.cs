using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>The way of a guest that goes by post-copy, and what fails on it.</summary>
public sealed class SourceMigrationTests : SourceScene
{
    // ---- the way of a guest that goes

    [Fact]
    public async Task Guest_goes_by_postcopy_in_order()
    {
        await RunAsync();
        Assert.Equal(
            [
                "prepare", "open lanes of session", "start push", "load state", "run", "guest runs", "complete",
                "close lanes that are done", "dispose lanes", "dispose",
            ],
            Calls);
        Assert.Equal(["resume", "pause", "release", "dispose"], Guest.Calls);
        Assert.Equal([MigrationState.Device, MigrationState.Device, MigrationState.PostcopyActive, MigrationState.Completed], States());
        Assert.Equal((true, GuestState.Migrated), (Hosted.IsGone, Hosted.Snapshot().State));
        Assert.True(Record.Snapshot().DowntimeUs > 0);
    }

    [Fact]
    public async Task Figures_of_a_migration_that_is_done_are_those_of_the_destination()
    {
        Destination.Placement = new PlacementCounters { PagesPush = 16384 };
        await RunAsync();
        Migration done = Record.Snapshot();
        Assert.Equal((1000ul, 16384ul, Destination.Placement), (done.BytesSent, done.PagesReceived, done.Placement));
    }

    // ---- what fails before the guest is given away

    [Fact]
    public async Task State_that_is_refused_lets_the_guest_go_on_here_before_the_destination_is_told()
    {
        Destination.OnLoadState = _ =>
        {
            Assert.False(Guest.IsRunning);
            throw new Refusal(Because.NotNow, "no such section");
        };
        await RunAsync();
        Assert.Equal(["load state", "close lanes", "abort: no such section", "dispose lanes", "dispose"], Calls.Skip(3));
        Assert.Equal((MigrationState.Failed, "no such section"), Announced.Last());
        Assert.True(Guest.IsRunning);
        Hosted.Pause();
    }

    [Fact]
    public async Task Cancel_ends_what_is_waited_for_and_is_the_reason()
    {
        Destination.OnPrepare = stop =>
        {
            Task never = Task.Delay(Timeout.InfiniteTimeSpan, stop);
            Migration.Cancel();
            return never;
        };
        await RunAsync();
        Assert.Equal((MigrationState.Cancelled, "cancelled by an operator"), Announced.Last());
        Assert.Equal(["prepare", "abort: cancelled by an operator", "dispose"], Calls);
        Assert.Equal(["resume", "resume", "claim"], Guest.Calls);
    }

    [Fact]
    public async Task Cancel_before_the_first_step_asks_nothing_of_the_destination()
    {
        Migration.Cancel();
        await RunAsync();
        Assert.Equal((MigrationState.Cancelled, "cancelled by an operator"), Announced.Last());
        Assert.Equal(["dispose"], Calls);
        Assert.True(Guest.IsRunning);
    }

    [Fact]
    public async Task Guest_that_is_given_away_is_not_cancelled()
    {
        Refusal? refused = null;
        Destination.OnRun = _ =>
        {
            refused = Assert.Throws<Refusal>(Migration.Cancel);
            return Task.CompletedTask;
        };
        await RunAsync();
        Assert.Contains("the guest has been given to the destination", refused?.Message, StringComparison.Ordinal);
        Assert.Equal(MigrationState.Completed, Record.State);
    }

    [Fact]
    public async Task Daemon_that_stops_before_the_guest_has_gone_says_so()
    {
        Destination.OnPrepare = stop => Task.Delay(Timeout.InfiniteTimeSpan, stop);
        Task running = RunAsync();
        await Shutdown.CancelAsync();
        await running;
        Assert.Equal((MigrationState.Failed, "this daemon is stopping"), Announced.Last());
    }

    // ---- when Run is not answered

    [Theory]
    [InlineData(Outcome.Running)]
    [InlineData(Outcome.NeverStarted)]
    public async Task Destination_is_asked_when_it_does_not_answer_run(Outcome outcome)
    {
        Destination.OnRun = _ => throw new Refusal(Because.TimedOut, "no answer");
        Destination.OnOutcome = _ =>
        {
            Assert.False(Guest.IsRunning);
            return Task.FromResult(outcome);
        };
        await RunAsync();
        Assert.Contains(
            (MigrationState.Device, "the destination has not said whether the guest runs there: no answer"), Announced);
        Assert.Equal(
            outcome == Outcome.Running
                ? (MigrationState.Completed, "")
                : (MigrationState.Failed, "the destination never started the guest"),
            Announced.Last());
        Assert.Equal(outcome == Outcome.NeverStarted, Guest.IsRunning);
        Assert.DoesNotContain(Calls, call => call.StartsWith("abort", StringComparison.Ordinal));
    }

    // ---- mistakes of this program's

    [Fact]
    public async Task Rollback_that_fails_is_said_and_logged()
    {
        Destination.OnLoadState = _ => throw new Refusal(Because.NotNow, "no such section");
        Guest.OnResume = () => throw new InvalidOperationException("no vCPU");
        await RunAsync();
        Assert.Equal((MigrationState.Failed, "internal error: no vCPU"), Announced.Last());
        Assert.EndsWith("of guest one broke in state Failed", Assert.Single(Log.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guest_whose_handover_fails_unforeseen_stays_the_destinations_and_that_is_logged()
    {
        Destination.OnRun = _ => throw new Refusal(Because.TimedOut, "no answer");
        Destination.OnOutcome = _ => throw new InvalidOperationException("no such outcome");
        await RunAsync();
        Assert.Equal((MigrationState.PostcopyPaused, "internal error: no such outcome"), Announced.Last());
        Assert.EndsWith("of guest one broke in state HandingOver", Assert.Single(Log.Errors), StringComparison.Ordinal);
        Assert.Equal((false, GuestState.Migrated), (Guest.IsRunning, Hosted.Snapshot().State));
    }

    [Fact]
    public async Task Mistake_while_pages_are_sent_is_logged_and_the_destination_dialled_again()
    {
        bool failed = false;
        Destination.OnComplete = _ => failed ? Task.CompletedTask : throw new InvalidOperationException($"no such counter {failed = true}");
        await RunAsync(IsOver);
        Assert.Contains((MigrationState.PostcopyPaused, "internal error: no such counter True"), Announced);
        Assert.EndsWith("of guest one broke in state PostcopyActive", Assert.Single(Log.Errors), StringComparison.Ordinal);
        Assert.Equal(MigrationState.Completed, Record.State);
    }
}
