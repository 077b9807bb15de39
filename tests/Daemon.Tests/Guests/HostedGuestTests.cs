using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Guest.Memory;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Guests;

public sealed class HostedGuestTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly ScriptedGuest _guest = new();
    private readonly Share _share = new();
    private readonly TemporaryFolder _folder = new();

    public void Dispose()
    {
        _guest.Memory.Dispose();
        _folder.Dispose();
    }

    // ---- a guest of this node

    [Fact]
    public void Guest_that_nobody_else_holds_does_what_operators_say()
    {
        HostedGuest hosted = Created();
        Assert.Equal(GuestState.Paused, hosted.Snapshot().State);
        hosted.Resume();
        Assert.Equal(GuestState.Running, hosted.Snapshot().State);
        hosted.Pause();
        Assert.Equal(["resume", "pause"], _guest.Calls);
        Assert.Equal((true, false, false), (hosted.IsHere, hosted.IsGone, hosted.IsForgotten));
    }

    [Fact]
    public void Guest_that_failed_is_not_resumed_and_not_moved()
    {
        HostedGuest hosted = Created();
        _guest.Failure = "triple fault";
        Assert.Equal((GuestState.Failed, "triple fault"), (hosted.Snapshot().State, hosted.Snapshot().Failure));
        Assert.Equal(
            "resume guest 'one': it cannot go on: triple fault. Delete it and create it again.",
            Assert.Throws<Refusal>(hosted.Resume).Message);
        Refusal unmoved = Assert.Throws<Refusal>(() => hosted.TakeForMigration("id", "to", out _));
        Assert.Equal((Because.NotNow, "migrate guest 'one': it cannot go on: triple fault"), (unmoved.Why, unmoved.Message));
        hosted.Pause();
    }

    [Fact]
    public async Task Deleted_guest_ends_before_its_memory_and_gives_its_share_back()
    {
        HostedGuest hosted = Created();
        _guest.Steps = 7;
        await hosted.DeleteAsync();
        Assert.Equal(["dispose"], _guest.Calls);
        Assert.Throws<ObjectDisposedException>(() => _guest.Memory.Write(0, [1]));
        Assert.Equal(1, _share.Returned);
        Assert.Equal((false, true, 7ul), (hosted.IsHere, hosted.IsForgotten, hosted.Snapshot().Report.Steps));
        Assert.Equal("pause guest 'one': it was deleted", Assert.Throws<Refusal>(hosted.Pause).Message);
        await Assert.ThrowsAsync<Refusal>(hosted.DeleteAsync);
        Assert.Equal("guest 'one' was deleted", hosted.FindConsole().Failure);
    }

    [Fact]
    public void Memory_is_read_of_a_guest_that_stands_still_and_nobody_touches_it_meanwhile()
    {
        HostedGuest hosted = Created();
        hosted.Resume();
        Assert.Contains("it runs", Assert.Throws<Refusal>(() => hosted.HoldWhole("hash")).Message, StringComparison.Ordinal);
        hosted.Pause();
        using (StillMemory still = hosted.HoldWhole("hash"))
        {
            Assert.Equal((true, true), (still.IsStill, still.IsHere(511)));
            AssertAllRefused(hosted, "its memory is being read by another command; try again when that has ended");
        }

        hosted.Resume();
    }

    // ---- on its way out

    [Fact]
    public async Task Guest_leaves_and_takes_its_console_along()
    {
        using GuestJournal journal = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
        HostedGuest hosted = HostedGuest.Created(_guest, _share, journal);
        Assert.Same(_guest, hosted.TakeForMigration("0123456789ab", "there:1", out Task noted));
        await noted;
        Assert.Equal(("Leaving", "there:1"), await JournalAsync("Leaving"));
        AssertAllRefused(
            hosted, "migration 0123456789ab is moving it away; wait for its end: migrationd migration watch 0123456789ab");
        Assert.Equal("0123456789ab", hosted.Snapshot().MigrationId);

        _guest.Steps = 5;
        _guest.Console!.Write("abc"u8);
        var elsewhere = new ScriptedElsewhere();
        hosted.GiveAway(elsewhere);
        Assert.Equal(["release"], _guest.Calls);
        _guest.Steps = 6;
        Assert.Equal((GuestState.Migrated, 5ul), (hosted.Snapshot().State, hosted.Snapshot().Report.Steps));
        ConsolePlace place = hosted.FindConsole();
        Assert.Equal((3L, true, true), (place.Switchover, place.Elsewhere == elsewhere, place.Ring == _guest.Console));
        AssertAllRefused(
            hosted,
            "it was migrated away by migration 0123456789ab, and its pages are kept here until they are all there; see: "
            + "migrationd migration show 0123456789ab");
        hosted.RunsElsewhere();
        await JournalAsync("Away");
        hosted.MoveTo("there:2");
        await JournalAsync("Away", "there:2");

        await hosted.FreeAwayAsync();
        await JournalAsync(null);
        Assert.Equal((false, true, false), (hosted.IsHere, hosted.IsGone, hosted.IsForgotten));
        Assert.Equal((GuestState.Migrated, 5ul, 1), (hosted.Snapshot().State, hosted.Snapshot().Report.Steps, _share.Returned));
        Assert.Null(hosted.FindConsole().Ring);
        Assert.Equal(
            "pause guest 'one': it was migrated away by migration 0123456789ab; ask the node it went to",
            Assert.Throws<Refusal>(hosted.Pause).Message);

        CancellationToken returned = hosted.FindConsole().Returned;
        await hosted.DeleteAsync();
        Assert.Equal((true, false), (returned.IsCancellationRequested, hosted.IsGone));
        Assert.Equal((null, "guest 'one' was deleted"), (hosted.FindConsole().Elsewhere, hosted.FindConsole().Failure));
        Assert.Equal(1, _share.Returned);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Guest_that_comes_back_is_this_nodes_alone(bool givenAway)
    {
        using GuestJournal journal = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
        HostedGuest hosted = HostedGuest.Created(_guest, _share, journal);
        hosted.TakeForMigration("0123456789ab", "there:1", out Task _);
        if (givenAway)
        {
            hosted.GiveAway(new ScriptedElsewhere());
        }

        CancellationToken elsewhere = hosted.FindConsole().Returned;
        hosted.Return();
        Assert.Equal(givenAway ? ["release", "claim"] : ["claim"], _guest.Calls);
        Assert.Equal((true, false), (elsewhere.IsCancellationRequested, hosted.FindConsole().Returned.IsCancellationRequested));
        Assert.Equal(("Here", null), await JournalAsync("Here"));
        Assert.Equal(("", null), (hosted.Snapshot().MigrationId, hosted.FindConsole().Elsewhere));
        hosted.Resume();
    }

    [Fact]
    public void Guest_that_is_held_back_runs_whatever_its_vcpus_do()
    {
        HostedGuest hosted = Created();
        hosted.TakeForMigration("0123456789ab", "there:1", out Task _);
        hosted.IsHeldBack = true;
        Assert.Equal(GuestState.Running, hosted.Snapshot().State);
        hosted.IsHeldBack = false;
        Assert.Equal(GuestState.Paused, hosted.Snapshot().State);
    }

    // ---- on its way in

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Guest_comes_and_is_this_nodes_alone_when_its_last_page_has_come(bool run)
    {
        using GuestJournal journal = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
        HostedGuest hosted = HostedGuest.Coming(_guest, _share, journal, "0123456789ab", "source");
        HostedGuest former = HostedGuest.LeftBehind(Left());
        hosted.Expect(former);
        Assert.Same(former, hosted.Former);
        Assert.Equal(("Expected", "source"), await JournalAsync("Expected"));
        Assert.Equal((GuestState.Incoming, true, "0123456789ab"), (hosted.Snapshot().State, hosted.FindConsole().IsComing, hosted.CameBy));
        AssertAllRefused(hosted, "migration 0123456789ab is bringing it and it does not run here yet; wait for its end");

        hosted.Arrive(run);
        Assert.Equal(run ? ["claim", "resume"] : ["claim"], _guest.Calls);
        Assert.Null(hosted.Former);
        await JournalAsync("Arriving");
        hosted.Pause();
        hosted.Resume();
        const string PagesAreMissing = "pages of it are still on the source of migration 0123456789ab; wait until that is completed";
        Assert.Equal($"hash guest 'one': {PagesAreMissing}", Assert.Throws<Refusal>(() => hosted.HoldWhole("hash")).Message);
        Assert.Equal($"dump guest 'one': {PagesAreMissing}", Assert.Throws<Refusal>(() => hosted.HoldWhatIsHere("dump")).Message);
        Assert.Equal($"delete guest 'one': {PagesAreMissing}", (await Assert.ThrowsAsync<Refusal>(hosted.DeleteAsync)).Message);

        var restored = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        await hosted.SettleAsync(() => new HugePageRestorer(_guest.Memory, [], restored.SetResult));
        Assert.Equal(0, await restored.Task.WaitAsync(Soon));
        Assert.Equal(("Here", null), await JournalAsync("Here"));
        Assert.Equal("", hosted.Snapshot().MigrationId);
        await hosted.DeleteAsync();
        Assert.Equal(1, _share.Returned);
    }

    [Fact]
    public void Guest_that_does_not_come_leaves_its_memory_to_who_mapped_it()
    {
        HostedGuest hosted = Coming();
        hosted.ForgetIncoming();
        Assert.Equal(["dispose"], _guest.Calls);
        _guest.Memory.Write(0, [1]);
        Assert.Equal((false, 0), (hosted.IsHere, _share.Returned));
        Assert.Equal((GuestState.Incoming, "guest 'one' was deleted"), (hosted.Snapshot().State, hosted.FindConsole().Failure));
        Assert.Throws<InvalidOperationException>(() => hosted.Arrive(run: true));
        Assert.Equal(["dispose"], _guest.Calls);
        hosted.ReturnMemoryShare();
        Assert.Equal(1, _share.Returned);
    }

    // ---- lost, and back

    [Fact]
    public async Task Lost_guest_is_read_as_far_as_it_is_here_and_deleted_by_its_session()
    {
        HostedGuest hosted = Lost(out Func<int> forgotten);
        Assert.Equal((GuestState.Failed, "the source is gone"), (hosted.Snapshot().State, hosted.Snapshot().Failure));
        const string Why = "pages of it were lost in migration 0123456789ab: the source is gone";
        Assert.Equal($"pause guest 'one': {Why}", Assert.Throws<Refusal>(hosted.Pause).Message);
        Assert.Equal($"hash guest 'one': {Why}", Assert.Throws<Refusal>(() => hosted.HoldWhole("hash")).Message);
        using (StillMemory still = hosted.HoldWhatIsHere("dump"))
        {
            Assert.Equal((true, true, false), (still.IsStill, still.IsHere(2), still.IsHere(3)));
            await Assert.ThrowsAsync<Refusal>(hosted.DeleteAsync);
        }

        await hosted.DeleteAsync();
        Assert.Equal(1, forgotten());
        Assert.Equal("dump guest 'one': it is being deleted", Assert.Throws<Refusal>(() => hosted.HoldWhatIsHere("dump")).Message);
        hosted.ForgetIncoming();
        Assert.Equal((GuestState.Failed, false), (hosted.Snapshot().State, hosted.IsHere));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Lost_guest_goes_on_when_its_source_is_back(bool beingDeleted)
    {
        HostedGuest hosted = Lost(out Func<int> _);
        StillMemory still = hosted.HoldWhatIsHere("dump");
        if (beingDeleted)
        {
            still.Dispose();
            await hosted.DeleteAsync();
        }

        hosted.Revive();
        Assert.False(still.IsStill);
        still.Dispose();
        Assert.Equal((GuestState.Running, ""), (hosted.Snapshot().State, hosted.Snapshot().Failure));
        hosted.Pause();
    }

    [Fact]
    public async Task Refusal_of_the_session_is_that_of_the_command()
    {
        HostedGuest hosted = Coming();
        hosted.Arrive(run: true);
        hosted.Lose(new Loss("the source is gone", new ReceivedPages(512), () => throw new Refusal(Because.NotNow, "the source is back")));
        Assert.Equal("the source is back", (await Assert.ThrowsAsync<Refusal>(hosted.DeleteAsync)).Message);
    }

    // ---- ended with a daemon before this one

    [Fact]
    public async Task Guest_that_ended_is_a_report_until_somebody_deletes_it()
    {
        JournalEntry left = Left();
        HostedGuest hosted = HostedGuest.LeftBehind(left);
        Assert.Equal((GuestState.Failed, left.Explain()), (hosted.Snapshot().State, hosted.Snapshot().Failure));
        Assert.Equal((left, false, false), (hosted.Left, hosted.IsHere, hosted.IsForgotten));
        Assert.Equal($"resume guest 'one': {left.Explain()}", Assert.Throws<Refusal>(hosted.Resume).Message);
        Refusal silent = Assert.Throws<Refusal>(() => hosted.FindConsole());
        Assert.Equal((Because.NotNow, $"console of guest 'one': {left.Explain()}"), (silent.Why, silent.Message));
        AssertKnowsNoStepOfAnEngine(hosted);
        await hosted.DeleteAsync();
        Assert.True(hosted.IsForgotten);
        Assert.Equal($"console of guest 'one': {left.Explain()}", Assert.Throws<Refusal>(() => hosted.FindConsole()).Message);
    }

    [Fact]
    public void Guest_that_ended_on_its_way_names_the_migration()
    {
        JournalEntry left = JournalSamples.Entry("one", JournalState.Leaving) with
        {
            End = JournalEnd.Death,
            EndedAt = JournalSamples.Noon,
        };
        Assert.Equal("0123456789ab", HostedGuest.LeftBehind(left).Snapshot().MigrationId);
    }

    [Fact]
    public void Guest_without_a_serial_port_has_no_console()
    {
        var mute = new ScriptedGuest(hasConsole: false);
        HostedGuest hosted = HostedGuest.Created(mute, _share, GuestJournal.None);
        Refusal silent = Assert.Throws<Refusal>(() => hosted.FindConsole());
        Assert.Equal(Because.NotNow, silent.Why);
        Assert.Contains("no serial port", silent.Message, StringComparison.Ordinal);
        mute.Memory.Dispose();
    }

    // ---- mistakes of engines

    [Fact]
    public void Step_that_the_hold_does_not_know_changes_nothing()
    {
        HostedGuest hosted = Created();
        AssertKnowsNoStepOfAnEngine(hosted);
        Assert.Empty(_guest.Calls);
        Assert.Equal(0, _share.Returned);
        Assert.Equal(GuestState.Paused, hosted.Snapshot().State);
        hosted.Resume();
    }

    private static JournalEntry Left() => JournalSamples.Entry("one", JournalState.Here) with
    {
        End = JournalEnd.Death,
        EndedAt = JournalSamples.Noon,
    };

    private static void AssertKnowsNoStepOfAnEngine(HostedGuest hosted)
    {
        Action[] mistakes =
        [
            hosted.Return, () => hosted.GiveAway(new ScriptedElsewhere()), () => hosted.FreeAwayAsync(), () => hosted.Arrive(run: true),
            () => hosted.Lose(new Loss("lost")), hosted.Revive, hosted.ForgetIncoming,
        ];
        Assert.All(mistakes, mistake => Assert.Throws<InvalidOperationException>(mistake));
    }

    private static void AssertAllRefused(HostedGuest hosted, string why)
    {
        Assert.Equal($"pause guest 'one': {why}", Assert.Throws<Refusal>(hosted.Pause).Message);
        Assert.Equal($"resume guest 'one': {why}", Assert.Throws<Refusal>(hosted.Resume).Message);
        Assert.Equal($"hash guest 'one': {why}", Assert.Throws<Refusal>(() => hosted.HoldWhole("hash")).Message);
        Assert.Equal($"dump guest 'one': {why}", Assert.Throws<Refusal>(() => hosted.HoldWhatIsHere("dump")).Message);
        Assert.Equal($"migrate guest 'one': {why}", Assert.Throws<Refusal>(() => hosted.TakeForMigration("id", "to", out _)).Message);
        Assert.Equal($"delete guest 'one': {why}", Assert.Throws<Refusal>(() => { _ = hosted.DeleteAsync(); }).Message);
    }

    private HostedGuest Created() => HostedGuest.Created(_guest, _share, GuestJournal.None);

    private HostedGuest Coming() => HostedGuest.Coming(_guest, _share, GuestJournal.None, "0123456789ab", "source");

    private HostedGuest Lost(out Func<int> forgotten)
    {
        HostedGuest hosted = Coming();
        hosted.Arrive(run: true);
        var received = new ReceivedPages(512);
        received.Mark(0, 3);
        int times = 0;
        forgotten = () => times;
        hosted.Lose(new Loss("the source is gone", received, () =>
        {
            times++;
            return Task.CompletedTask;
        }));
        return hosted;
    }

    /// <summary>What the journal says of the guest, once it says that it is in this state, or nothing.</summary>
    private async Task<(string? State, string? Peer)> JournalAsync(string? state, string? peer = null)
    {
        using var deadline = new CancellationTokenSource(Soon);
        while (true)
        {
            (string? State, string? Peer) now = ReadJournal();
            if (now.State == state && (peer is null || now.Peer == peer))
            {
                return now;
            }

            await Task.Delay(1, deadline.Token);
        }
    }

    private (string? State, string? Peer) ReadJournal()
    {
        string file = _folder.PathOf("state/guests/one.json");
        try
        {
            JournalEntry entry = JournalEntry.Parse("one", File.ReadAllBytes(file));
            return (entry.State.ToString(), entry.Peer);
        }
        catch (Exception error) when (error is IOException or JsonException)
        {
            return default;
        }
    }

    private sealed class Share : IDisposable
    {
        public int Returned { get; private set; }

        public void Dispose() => Returned++;
    }
}
