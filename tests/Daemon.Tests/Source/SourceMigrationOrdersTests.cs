using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source;

/// <summary>What operators order while a migration is under way, at the right time and at the wrong one.</summary>
public sealed class SourceMigrationOrdersTests : SourceScene
{
    private const string CannotGoOn = "The guest cannot go on here: --release-ram has given memory of it back";

    [Fact]
    public async Task Orders_are_refused_where_they_make_no_sense()
    {
        var refusals = new List<Refusal>();
        Destination.OnPrepare = async _ =>
        {
            refusals.Add(Assert.Throws<Refusal>(() => Migration.Recover("")));
            refusals.Add(Assert.Throws<Refusal>(Migration.StartPostcopy));
            refusals.Add(await Assert.ThrowsAsync<Refusal>(() => Migration.ResumeHereAsync(true, CancellationToken.None)));
        };
        await RunAsync();
        Assert.Collection(
            refusals.Select(one => one.Message),
            one => Assert.EndsWith("only a migration that is postcopy-paused can be recovered", one, StringComparison.Ordinal),
            one => Assert.EndsWith("its mode is postcopy; only one that is hybrid has both", one, StringComparison.Ordinal),
            one => Assert.EndsWith(
                "only a guest whose destination cannot be reached can be resumed here", one, StringComparison.Ordinal));
        Assert.All(refusals, one => Assert.Equal(Because.NotNow, one.Why));
        Assert.Equal(MigrationState.Completed, Record.State);
    }

    // ---- start-postcopy

    [Fact]
    public async Task Postcopy_that_is_ordered_before_the_first_round_comes_after_it()
    {
        Plan = Hybrid;
        Record.Entered += () =>
        {
            if (Record.State == MigrationState.PrecopyActive)
            {
                Migration.StartPostcopy();
            }
        };
        Destination.Lanes.OnRound = mustStop => mustStop() ? 0 : Destination.Lanes.SendAll();
        await RunAsync();
        Assert.Equal(
            (MigrationState.Completed, 1u, 0ul, "an operator ordered the switchover"),
            (Record.State, Precopy.Rounds, Precopy.PagesSent, Precopy.Ended));
    }

    [Fact]
    public async Task Postcopy_that_is_ordered_in_a_round_ends_it()
    {
        Plan = Hybrid;
        Destination.Lanes.OnRound = mustStop =>
        {
            Assert.False(mustStop());
            Migration.StartPostcopy();
            Assert.True(mustStop());
            return 3;
        };
        await RunAsync();
        Assert.Equal(
            (MigrationState.Completed, 1u, 3ul, "an operator ordered the switchover"),
            (Record.State, Precopy.Rounds, Precopy.PagesSent, Precopy.Ended));
        // Nothing was marked as sent: all of it follows.
        Assert.Contains("forget 0+16384", Calls);
    }

    [Fact]
    public async Task Postcopy_is_not_started_where_precopy_is_all_there_is()
    {
        Plan = Hybrid with { Mode = MigrationMode.Precopy };
        Refusal? refused = null;
        Destination.Lanes.OnRound = _ =>
        {
            refused ??= Assert.Throws<Refusal>(Migration.StartPostcopy);
            return Destination.Lanes.SendAll();
        };
        await RunAsync();
        Assert.Equal((Because.NotNow, MigrationState.Completed), (refused?.Why, Record.State));
        Assert.EndsWith("its mode is precopy; only one that is hybrid has both", refused?.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Postcopy_is_not_started_before_or_after_precopy()
    {
        Plan = Hybrid;
        var refusals = new List<Refusal>();
        Task Order(CancellationToken cancel)
        {
            refusals.Add(Assert.Throws<Refusal>(Migration.StartPostcopy));
            return Task.CompletedTask;
        }

        Destination.OnPrepare = Order;
        Destination.OnLoadState = Order;
        await RunAsync();
        Assert.Equal(2, refusals.Count);
        Assert.All(refusals, one => Assert.Equal(Because.NotNow, one.Why));
        Assert.All(
            refusals,
            one => Assert.EndsWith("only one that is precopy-active can be told to", one.Message, StringComparison.Ordinal));
    }

    // ---- limits

    [Fact]
    public async Task Limits_of_the_plan_hold_from_the_beginning_and_are_said()
    {
        Plan = Hybrid with { Bandwidth = 1 << 20, PostcopyBandwidth = 1 << 19, Precopy = Hybrid.Precopy with { MaxRounds = 7 } };
        Assert.Equal(new MigrationLimits { Bandwidth = 1 << 20, PostcopyBandwidth = 1 << 19, MaxRounds = 7 }, Record.Snapshot().Limits);
        await RunAsync();
        Assert.True(IsPaced());
    }

    [Fact]
    public async Task Limits_are_changed_while_pages_are_sent()
    {
        Destination.OnComplete = _ =>
        {
            Assert.False(IsPaced());
            Migration.Set(new SetMigrationRequest { PostcopyBandwidth = 1 << 20 });
            Assert.True(IsPaced());
            return Task.CompletedTask;
        };
        await RunAsync();
        Assert.Equal(
            (MigrationState.Completed, new MigrationLimits { PostcopyBandwidth = 1 << 20 }), (Record.State, Record.Snapshot().Limits));
    }

    [Fact]
    public async Task Rounds_are_limited_while_they_go_on()
    {
        Plan = Hybrid;
        KeepWriting();
        Destination.Lanes.OnRound = _ =>
        {
            Migration.Set(new SetMigrationRequest { MaxRounds = 1 });
            return SendAllSlowly();
        };
        await RunAsync(IsOver);
        Assert.Equal((1u, "all 1 rounds are used up"), (Precopy.Rounds, Precopy.Ended));
        Assert.Equal(1u, Record.Snapshot().Limits.MaxRounds);
    }

    [Fact]
    public async Task Limit_that_was_changed_before_the_first_round_holds()
    {
        Plan = Hybrid;
        KeepWriting();
        Destination.OnPrepare = _ =>
        {
            Migration.Set(new SetMigrationRequest { MaxRounds = 1 });
            return Task.CompletedTask;
        };
        Destination.Lanes.OnRound = _ => SendAllSlowly();
        await RunAsync(IsOver);
        Assert.Equal((1u, "all 1 rounds are used up"), (Precopy.Rounds, Precopy.Ended));
    }

    [Fact]
    public async Task Limits_that_make_no_sense_change_nothing()
    {
        Plan = Hybrid with { Bandwidth = 1 << 20 };
        MigrationLimits before = Record.Snapshot().Limits;
        var refusals = new List<Refusal>();
        Destination.OnLoadState = _ =>
        {
            refusals.Add(Assert.Throws<Refusal>(() => Migration.Set(new SetMigrationRequest { Bandwidth = 1, MaxRounds = 3 })));
            refusals.Add(Assert.Throws<Refusal>(() => Migration.Set(new SetMigrationRequest { Bandwidth = 1, DowntimeLimitMs = 3 })));
            refusals.Add(Assert.Throws<Refusal>(() => Migration.Set(new SetMigrationRequest())));
            return Task.CompletedTask;
        };
        await RunAsync();
        Assert.Collection(
            refusals.Select(one => one.Message),
            one => Assert.EndsWith("its precopy is over", one, StringComparison.Ordinal),
            one => Assert.EndsWith("its precopy is over", one, StringComparison.Ordinal),
            one => Assert.EndsWith("nothing is to be changed; say what", one, StringComparison.Ordinal));
        Assert.All(refusals, one => Assert.Equal(Because.NotNow, one.Why));
        Assert.Equal(before, Record.Snapshot().Limits);
    }

    // ---- --release-ram

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Memory_is_given_back_when_that_is_ordered(bool release)
    {
        Plan = Plan with { ReleaseRam = release };
        await RunAsync();
        Assert.Equal(release, Destination.Lanes.Outgoing!.Released is not null);
        Assert.Equal(release, (await Destination.Asked.Task).ConfirmBlocks);
    }

    [Fact]
    public async Task Guest_that_is_not_whole_any_more_cannot_go_on_here_whatever_the_destination_says()
    {
        Plan = Plan with { ReleaseRam = true };
        LoseLanesOnce(ReleaseBlock);
        Destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        await RunAsync(() => IsPaused("does not have the guest any more"));
        Assert.EndsWith(CannotGoOn, Record.Snapshot().Reason, StringComparison.Ordinal);
        Assert.Contains(
            Announced, one => one.Reason.Contains("this daemon keeps those that have not been confirmed", StringComparison.Ordinal));
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => Migration.ResumeHereAsync(force: true, CancellationToken.None));
        Assert.Equal(Because.NotNow, refused.Why);
        Assert.Contains("2.0 MiB of its memory are not here any more", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("ask once", Calls);

        Destination.OnRecover = NeverAsync;
        Migration.Recover("");
        await UntilAsync(() => IsPaused("was not reached within"));
        Assert.EndsWith(CannotGoOn, Record.Snapshot().Reason, StringComparison.Ordinal);
        Assert.False(Guest.IsRunning);
    }

    [Fact]
    public async Task Guest_that_is_whole_goes_on_here_and_nothing_of_it_is_given_back_after_that()
    {
        Plan = Plan with { ReleaseRam = true };
        LoseLanesOnce();
        Destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        await RunAsync(() => IsPaused("does not have the guest any more"));
        Destination.Word = DestinationWord.KnowsNothing;
        await Migration.ResumeHereAsync(force: false, CancellationToken.None);
        await UntilAsync(IsOver);
        ReleaseBlock();
        Assert.Equal((true, 0L), (Guest.IsRunning, Destination.Lanes.Outgoing!.Released!.Bytes));
    }

    [Fact]
    public async Task Guest_that_loses_memory_while_the_destination_is_asked_does_not_go_on_here()
    {
        Plan = Plan with { ReleaseRam = true };
        LoseLanesOnce();
        Destination.OnRecover = _ => throw new Refusal(Because.NotFound, "no such session");
        await RunAsync(() => IsPaused("does not have the guest any more"));
        Destination.OnAskOnce = ReleaseBlock;
        Destination.Word = DestinationWord.KnowsNothing;
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => Migration.ResumeHereAsync(force: false, CancellationToken.None));
        Assert.Contains("2.0 MiB of its memory are not here any more", refused.Message, StringComparison.Ordinal);
        Assert.False(Guest.IsRunning);
    }

    private void ReleaseBlock()
    {
        Destination.Lanes.Outgoing!.Released!.Confirm(0, 1);
        Destination.Lanes.Outgoing.Released.Release();
    }

    /// <summary>Whether what is pushed after the switchover has to wait once much has been pushed.</summary>
    private bool IsPaced()
    {
        PushPace pace = Destination.Lanes.Outgoing!.Pace;
        pace.Pushed(1 << 30, isPostcopy: true);
        int asked = 0;
        bool mayGo = pace.Wait(isPostcopy: true, () => asked++ > 0);
        if (mayGo)
        {
            pace.GiveBack();
        }

        return !mayGo;
    }
}
