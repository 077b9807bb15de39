using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Source.Link;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>A guest that has gone and whose link is lost while pages are missing: it is restored, or somebody has to decide.</summary>
public sealed class SourceMigrationLinkTests : SourceScene
{
    [Fact]
    public async Task Lost_link_is_restored()
    {
        LoseLanesOnce();
        var lanes = new ScriptedLanes(Calls);
        Destination.OnRecover = _ => Task.FromResult<ISourceLanes?>(lanes);
        await RunAsync(IsOver);
        Assert.Equal(
            [MigrationState.Device, MigrationState.Device, MigrationState.PostcopyActive, MigrationState.PostcopyPaused,
                MigrationState.PostcopyActive, MigrationState.Completed],
            States());
        Assert.StartsWith(
            "a page lane is lost: reset.", Announced.Single(one => one.State == MigrationState.PostcopyPaused).Reason,
            StringComparison.Ordinal);
        Assert.Equal(("", 1u), (Announced.Last().Reason, Record.Snapshot().Recoveries));
        // Two connections of one migration: the old lanes are closed before there are new ones.
        Assert.Equal(
            ["complete", "close lanes", "dispose lanes", "recover", "guest runs", "complete", "close lanes that are done", "dispose lanes"],
            Calls.SkipWhile(call => call != "complete").SkipLast(1));
    }

    [Fact]
    public async Task Destination_that_has_every_page_when_it_is_asked_again_completes_it()
    {
        LoseLanesOnce();
        await RunAsync(IsOver);
        Assert.Equal([MigrationState.PostcopyPaused, MigrationState.Completed], States()[^2..]);
        Assert.True(Hosted.IsGone);
    }

    [Fact]
    public async Task Recovery_that_is_given_up_waits_for_an_order_which_is_said_at_once()
    {
        LoseLanesOnce();
        Destination.OnRecover = NeverAsync;
        await RunAsync(() => IsPaused("was not reached within 300 s"));
        Assert.EndsWith(
            $"If it is gone for good: migrationd migration resolve {Record.Id} --resume-here", Record.Snapshot().Reason,
            StringComparison.Ordinal);
        Destination.OnRecover = _ =>
        {
            Destination.Home = Destination.Address;
            return Task.FromResult<ISourceLanes?>(null);
        };
        Migration.Recover("there:2");
        Assert.Equal(
            (MigrationState.PostcopyPaused, "the destination there:2 is dialled again, by an operator's order"), Announced.First(
                one => one.Reason.Contains("dialled again, by", StringComparison.Ordinal)));
        await UntilAsync(IsOver);
        Assert.Contains("move to there:2", Calls);
        Assert.Equal("there:2", Record.Snapshot().Peer);
        // The order is announced by who gave it, and not once more by who carries it out.
        Assert.Single(
            Announced,
            one => one.State == MigrationState.PostcopyPaused && one.Reason.Contains("dialled again, by", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Order_to_dial_again_ends_the_attempt_that_is_under_way()
    {
        LoseLanesOnce();
        Destination.OnRecover = NeverAsync;
        await RunAsync(() => Calls.Contains("recover"));
        Destination.OnRecover = _ => Task.FromResult<ISourceLanes?>(null);
        Migration.Recover("");
        await UntilAsync(IsOver);
        Assert.DoesNotContain(Announced, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));
        Assert.Contains(
            (MigrationState.PostcopyPaused, "the destination there:1 is dialled again, by an operator's order"), Announced);
        Assert.DoesNotContain(Calls, call => call.StartsWith("move to", StringComparison.Ordinal));
        Assert.Equal("there:1", Record.Snapshot().Peer);
    }

    [Fact]
    public async Task Stranger_at_the_address_of_an_order_says_nothing_of_the_guest()
    {
        LoseLanesOnce();
        Destination.OnRecover = NeverAsync;
        await RunAsync(() => IsPaused("was not reached within"));
        Destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        Migration.Recover("stranger:1");
        await UntilAsync(() => IsPaused("the daemon at stranger:1 answers and knows nothing of this migration"));
        Assert.Equal("there:1", Destination.Address);
    }

    [Fact]
    public async Task Guest_goes_on_here_only_when_the_destination_has_not_got_it()
    {
        LoseLanesOnce();
        Destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        await RunAsync(() => IsPaused("answers and does not have the guest any more: no such session"));
        Assert.Contains("This daemon keeps every page as it was at the switchover", Record.Snapshot().Reason, StringComparison.Ordinal);
        Destination.Word = DestinationWord.HasGuest;
        Assert.Contains("must not run twice", await RefusedAsync(force: true), StringComparison.Ordinal);
        Destination.Word = DestinationWord.Silent;
        Assert.Contains("repeat this with --force", await RefusedAsync(force: false), StringComparison.Ordinal);
        Assert.False(Guest.IsRunning);
        await Migration.ResumeHereAsync(force: true, CancellationToken.None);
        await UntilAsync(IsOver);
        Assert.Equal(
            (MigrationState.Failed,
                "an operator let the guest go on here, as it was at the switchover; what it did on the destination is lost"),
            Announced.Last());
        Assert.True(Guest.IsRunning);
        Hosted.Pause();

        async Task<string> RefusedAsync(bool force) =>
            (await Assert.ThrowsAsync<Refusal>(() => Migration.ResumeHereAsync(force, CancellationToken.None))).Message;
    }

    [Fact]
    public async Task Daemon_that_stops_leaves_a_lost_link_as_it_is()
    {
        LoseLanesOnce();
        Destination.OnRecover = NeverAsync;
        Task running = Migration.RunAsync(Shutdown.Token);
        await UntilAsync(() => Calls.Contains("recover"));
        await Shutdown.CancelAsync();
        await running.WaitAsync(Soon);
        Assert.Equal(MigrationState.PostcopyPaused, Record.State);
        Assert.Equal(GuestState.Migrated, Hosted.Snapshot().State);
        Assert.DoesNotContain("dispose", Calls);
    }

    [Fact]
    public async Task Link_that_did_not_hold_is_not_dialled_at_once()
    {
        LoseLanesOnce();
        Task running = RunAsync();
        // Two wait for the clock then: the rest, and the patience of the whole attempt.
        await Clock.AwaitedAsync();
        await Clock.AwaitedAsync();
        Assert.DoesNotContain("recover", Calls);
        Clock.Advance(TimeSpan.FromMilliseconds(500));
        await running;
        Assert.Contains("recover", Calls);
    }

    [Fact]
    public async Task Link_that_held_for_a_while_is_dialled_at_once()
    {
        LoseLanesOnce(before: () => Clock.Advance(TimeSpan.FromMilliseconds(500)));
        await RunAsync();
        Assert.Contains("recover", Calls);
    }

    [Fact]
    public async Task Figures_go_on_over_a_lost_link()
    {
        var counted = new PlacementCounters { PagesPush = 12 };
        Destination.Lanes.Figures = new LiveFigures(1000, 12, counted);
        LoseLanesOnce();
        var lanes = new ScriptedLanes(Calls) { Figures = new LiveFigures(0, 0, null) };
        var dialling = new TaskCompletionSource<ISourceLanes?>();
        Destination.OnRecover = _ => dialling.Task;
        await RunAsync(() => Calls.Contains("recover"));
        Assert.Equal((1000ul, 12ul, counted), Now());
        Assert.NotNull(Record.Map());

        var completing = new TaskCompletionSource();
        Destination.OnComplete = _ => completing.Task;
        dialling.SetResult(lanes);
        await UntilAsync(() => Record.State == MigrationState.PostcopyActive);
        lanes.Figures = new LiveFigures(500, 0, null);
        Assert.Equal((1500ul, 12ul, counted), Now());
        var more = new PlacementCounters { PagesPush = 20 };
        lanes.Figures = new LiveFigures(600, 20, more);
        Assert.Equal((1600ul, 20ul, more), Now());
        Destination.Placement = more;
        completing.SetResult();
        await UntilAsync(IsOver);
        Assert.Equal((1600ul, 16384ul, more), Now());

        (ulong, ulong, PlacementCounters) Now() =>
            Record.Snapshot() is var now ? (now.BytesSent, now.PagesReceived, now.Placement) : default;
    }
}
