using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Guest.Userfault;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Draining;

public sealed class NodeDrainTests : IAsyncDisposable
{
    private const long Size = 64 << 20;
    private const string NoRoom = "p:1: it has 1.0 MiB free for guests, and this one has 64.0 MiB";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly ManualClock _clock = new();
    private readonly CancellationTokenSource _cancel = new();
    private readonly ScriptedSurvey _survey = new();
    private readonly MigrationLog _migrations = new();
    private readonly List<ScriptedGuest> _made = [];
    private readonly GuestRegistry _guests;
    private readonly TaskCompletionSource<Refusal> _stop = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<string, MigrationRecord> _begun = [];
    private readonly List<string> _order = [];
    private readonly SortedDictionary<string, string> _told = new(StringComparer.Ordinal);
    private Func<HostedGuest, Exception?> _refuse = _ => null;
    private bool _mayBegin = true;
    private IAsyncEnumerator<DrainUpdate>? _updates;
    private Task<bool>? _next;
    private DrainUpdate? _last;

    public NodeDrainTests() => _guests = new GuestRegistry(new MemoryBudget(100 * Size))
    {
        Make = (spec, memory) =>
        {
            _made.Add(new ScriptedGuest(spec, memory));
            return _made[^1];
        },
    };

    public async ValueTask DisposeAsync()
    {
        await _cancel.CancelAsync();
        await ((Task?)_next ?? Task.CompletedTask).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_updates is not null)
        {
            await _updates.DisposeAsync();
        }

        _made.ForEach(guest => guest.Memory.Dispose());
        _cancel.Dispose();
    }

    // ---- the way of a guest that moves

    [Fact]
    public async Task Node_without_guests_is_empty_at_once()
    {
        Begin();
        DrainUpdate? update = await NextAsync();
        Assert.Equal((true, 0, 0), (update!.Ended, update.Guests.Count, update.Peers.Count));
        Assert.Null(await NextAsync());
        Assert.Equal(0, _survey.Asked);
    }

    [Fact]
    public async Task Guest_moves_to_a_peer_that_has_room()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        DrainUpdate? first = await NextAsync();
        Assert.Equal((false, "a", DrainState.Waiting), (first!.Ended, first.Guests[0].Name, first.Guests[0].State));
        Assert.Equal((ulong)Size, first.Guests[0].MemoryBytes);
        DrainUpdate? second = await NextAsync();
        Assert.Equal((DrainState.Moving, "p:1"), (second!.Guests[0].State, second.Guests[0].Migration.Peer));
        Assert.Equal(
            new DrainPeer { Address = "p:1", Name = "node p:1", FreeBytes = 5 * (ulong)Size }, Assert.Single(second.Peers));
        Complete("a");
        await UntilAsync("a Moved");
        await EndAsync();
        Assert.Equal(["a to p:1"], _order);
    }

    [Fact]
    public async Task So_many_move_at_a_time_as_were_asked_for()
    {
        Create("a", "b", "c");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 50 * Size, places: 9));
        Begin(parallel: 2);
        await UntilAsync("a Moving", "b Moving", "c Waiting");
        Active("a");
        await PassAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(["a to p:1", "b to p:1"], _order);
        Complete("b");
        await UntilAsync("b Moved", "c Moving");
        Complete("a");
        Complete("c");
        await EndAsync();
    }

    [Theory]
    [InlineData(MigrationState.PostcopyPaused)]
    [InlineData(MigrationState.PostcopyRecover)]
    public async Task Migration_that_has_lost_its_link_does_not_hold_up_others(MigrationState state)
    {
        Create("a", "b");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 50 * Size, places: 9));
        Begin(parallel: 1);
        await UntilAsync("a Moving", "b Waiting");
        _begun["a"].Enter(state);
        await UntilAsync("a Moving", "b Moving");
    }

    [Fact]
    public async Task Memory_of_a_guest_that_its_peer_may_not_know_of_is_not_given_away_twice()
    {
        Create("a", "b");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", Size + (Size / 2), places: 9));
        Begin(parallel: 2);
        await UntilAsync("a Moving", "b Waiting p:1: it has 32.0 MiB free for guests, and this one has 64.0 MiB");
        Active("a");
        await UntilAsync("b Moving");
    }

    [Fact]
    public async Task Peer_that_is_this_node_gets_nothing_and_is_not_told_of()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("self:1", 50 * Size, problem: "it is this node itself", isSelf: true));
        Begin();
        DrainUpdate last = await EndAsync();
        Assert.Empty(last.Peers);
        Assert.Equal("Stayed there is no peer but this node itself", _told["a"]);
    }

    // ---- one that cannot

    [Fact]
    public async Task Guest_that_no_peer_has_room_for_stays_with_the_reason()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 1 << 20));
        Begin();
        await EndAsync();
        Assert.Equal($"Stayed {NoRoom}", _told["a"]);
        Assert.Equal((1, DateTimeOffset.UnixEpoch), (_survey.Asked, _clock.GetUtcNow()));
    }

    [Fact]
    public async Task Guest_without_room_waits_as_long_as_another_moves()
    {
        Create("a", "b");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", Size + (1 << 20), places: 9));
        Begin(parallel: 2);
        await UntilAsync("a Moving", "b Waiting");
        Active("a");
        _survey.Answers[0] = ScriptedSurvey.Peer("p:1", 1 << 20);
        await PassAsync(TimeSpan.FromSeconds(90));
        Assert.Equal($"Waiting {NoRoom}", _told["b"]);
        Complete("a");
        await EndAsync();
        Assert.Equal(("Moved", $"Stayed {NoRoom}"), (_told["a"], _told["b"]));
    }

    [Fact]
    public async Task Guest_waits_half_a_minute_for_a_peer_that_has_too_many_on_their_way()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size, places: 0));
        Begin();
        await UntilAsync("a Waiting p:1: as many guests are on their way there as may be");
        await EndAsync();
        Assert.Equal("Stayed p:1: as many guests are on their way there as may be", _told["a"]);
        AssertPassed(30, 32);
        Assert.InRange(_survey.Asked, 25, 32);
    }

    [Fact]
    public async Task Peer_that_has_room_again_gets_the_guest()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size, places: 0));
        Begin();
        await UntilAsync("a Waiting p:1");
        await PassAsync(TimeSpan.FromSeconds(20));
        _survey.Answers[0] = ScriptedSurvey.Peer("p:1", 5 * Size, places: 1);
        await UntilAsync("a Moving");
    }

    [Fact]
    public async Task Guest_that_an_operator_has_in_hand_is_tried_again_and_then_left()
    {
        Create("a");
        int tries = 0;
        _refuse = _ =>
        {
            tries++;
            return new Refusal(Because.NotNow, "its memory is being read");
        };
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        await UntilAsync("a Waiting its memory is being read");
        await EndAsync();
        Assert.Equal("Stayed its memory is being read", _told["a"]);
        AssertPassed(30, 32);
        Assert.InRange(tries, 25, 32);
    }

    [Fact]
    public async Task Guest_that_an_operator_lets_go_of_moves()
    {
        await BeginWithGuestInHandAsync();
        _refuse = _ => null;
        await UntilAsync("a Moving");
        AssertPassed(1, 2);
    }

    [Fact]
    public async Task What_an_operator_had_in_hand_is_no_reason_once_it_is_let_go()
    {
        await BeginWithGuestInHandAsync();
        _refuse = _ => null;
        _survey.Answers[0] = ScriptedSurvey.Peer("p:1", 1 << 20);
        await EndAsync();
        Assert.Equal($"Stayed {NoRoom}", _told["a"]);
    }

    [Fact]
    public async Task Any_other_refusal_ends_the_drain()
    {
        Create("a");
        _refuse = _ => new Refusal(Because.Invalid, "no such lanes");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        Assert.Equal("no such lanes", (await Assert.ThrowsAsync<Refusal>(EndAsync)).Message);
    }

    [Fact]
    public async Task Failed_migration_is_the_next_peers_turn_and_the_last_ones_failure_stays()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        _survey.Answers.Add(ScriptedSurvey.Peer("p:2", 4 * Size));
        Begin();
        await UntilAsync("a Moving");
        Fail("a", MigrationState.Failed, "no machine");
        await UntilAsync("a Waiting p:1: migration m1 failed: no machine");
        await UntilAsync("a Moving");
        Fail("a", MigrationState.Failed, "no memory");
        DrainUpdate last = await EndAsync();
        Assert.Equal(["a to p:1", "a to p:2"], _order);
        Assert.Equal("Stayed p:1: migration m1 failed: no machine; p:2: migration m2 failed: no memory", _told["a"]);
        Assert.Equal("m2", last.Guests[0].Migration.Id);
    }

    [Fact]
    public async Task Cancelled_migration_leaves_its_guest_here()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        await UntilAsync("a Moving");
        Fail("a", MigrationState.Cancelled, "");
        await EndAsync();
        Assert.Equal("Stayed its migration m1 to p:1 was cancelled", _told["a"]);
    }

    // ---- guests that others do something with

    [Fact]
    public async Task Guest_that_is_deleted_is_gone()
    {
        Create("a", "b");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size, places: 0));
        Begin();
        await UntilAsync("a Waiting", "b Waiting");
        await _guests.DeleteAsync("a");
        await UntilAsync("a Gone it was deleted");
        await _guests.DeleteAsync("b");
        await EndAsync();
    }

    [Fact]
    public async Task New_guest_of_an_old_name_is_another()
    {
        Create("a");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size, places: 0));
        Begin();
        await UntilAsync("a Waiting p:1");
        await _guests.DeleteAsync("a");
        HostedGuest next = _guests.Create(JournalSamples.Spec("a"));
        _survey.Answers[0] = ScriptedSurvey.Peer("p:1", 5 * Size);
        HostedGuest? moved = null;
        _refuse = guest =>
        {
            moved = guest;
            return null;
        };
        await UntilAsync("a Moving");
        Assert.Same(next, moved);
    }

    [Fact]
    public async Task Guest_on_its_way_in_is_waited_for_and_then_moved()
    {
        var record = new MigrationRecord("in", "a", MigrationRole.Destination, "source", MigrationMode.Postcopy, 1);
        _migrations.Add(record);
        HostedGuest coming = Expect("a", "in");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        await UntilAsync("a Waiting it is still on its way in, in migration in from source");
        coming.Arrive(run: true);
        await PassAsync(TimeSpan.FromSeconds(90));
        Assert.Equal((0, 1), (_order.Count, _told.Count));
        await coming.SettleAsync(() => new MigrationD.Guest.Memory.HugePageRestorer(_made[^1].Memory, [], _ => { }));
        record.Enter(MigrationState.Completed);
        await UntilAsync("a Moving");
    }

    [Fact]
    public async Task Guest_whose_record_is_not_known_yet_is_on_its_way_all_the_same()
    {
        Expect("a", "in");
        Begin();
        await UntilAsync("a Waiting it is still on its way in");
    }

    [Fact]
    public async Task Drain_does_not_end_while_a_guest_is_being_made()
    {
        var made = new TaskCompletionSource();
        var making = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<HostedGuest> expected = Task.Run(() => _guests.Expect(JournalSamples.Spec("a"), share =>
        {
            making.SetResult();
            made.Task.Wait(_cancel.Token);
            return Coming("a", share);
        }));
        await making.Task.WaitAsync(Soon);
        Begin();
        await PassAsync(TimeSpan.FromSeconds(10));
        Assert.Empty(_told);
        made.SetResult();
        await expected.WaitAsync(Soon);
        await UntilAsync("a Waiting it is still on its way in");
    }

    [Fact]
    public async Task Guest_that_others_move_is_followed()
    {
        Create("a");
        HostedGuest hosted = _guests.Find("a");
        hosted.TakeForMigration("m9", "q:1", out Task _);
        _migrations.Add(_begun["a"] = new MigrationRecord("m9", "a", MigrationRole.Source, "q:1", MigrationMode.Postcopy, 1));
        Begin();
        await UntilAsync("a Moving");
        Complete("a");
        await EndAsync();
        Assert.Equal(("Moved", 0, 0), (_told["a"], _order.Count, _survey.Asked));
    }

    [Fact]
    public async Task Guests_that_are_not_here_to_be_moved_are_told_of()
    {
        Create("a", "b", "c");
        HostedGuest before = _guests.Find("a");
        before.TakeForMigration("m9", "q:1", out Task _);
        before.GiveAway(new ScriptedElsewhere());
        await before.FreeAwayAsync();
        _made[1].Failure = "triple fault";
        HostedGuest lost = _guests.Expect(JournalSamples.Spec("d"), share => Coming("d", share));
        lost.Arrive(run: true);
        lost.Lose(new Loss("the source is gone", new ReceivedPages(1)));
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        await UntilAsync("c Moving");
        Complete("c");
        await EndAsync();
        Assert.Equal(
            [
                "Gone it was moved away before, by migration m9; only its record is here",
                "Stayed it cannot go on, and cannot be moved: triple fault",
                "Moved",
                "Stayed it cannot go on, and cannot be moved: the source is gone",
            ],
            _told.Values);
    }

    // ---- how it ends

    [Fact]
    public async Task Drain_that_is_stopped_ends_with_the_reason()
    {
        Create("a");
        _survey.Answering = new TaskCompletionSource().Task;
        Begin();
        await NextAsync();
        Task<DrainUpdate?> next = NextAsync();
        _stop.SetResult(new Refusal(Because.Gone, "the node was undrained"));
        Assert.Equal("the node was undrained", (await Assert.ThrowsAsync<Refusal>(() => next.WaitAsync(Soon))).Message);
    }

    [Fact]
    public async Task Drain_whose_caller_has_gone_ends()
    {
        Create("a");
        _survey.Answering = new TaskCompletionSource().Task;
        Begin();
        await NextAsync();
        Task<DrainUpdate?> next = NextAsync();
        await _cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next.WaitAsync(Soon));
        Assert.Equal(1, _survey.Asked);
    }

    [Fact]
    public async Task Nothing_is_begun_that_may_not_be()
    {
        Create("a");
        _mayBegin = false;
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        await UntilAsync("a Waiting");
        await PassAsync(TimeSpan.FromSeconds(90));
        Assert.Equal(("Waiting", 0), (_told["a"], _order.Count));
    }

    private void Begin(int parallel = 2)
    {
        var drain = new NodeDrain(_guests, _migrations, _survey, Move, parallel, _stop.Task, _clock);
        _updates = drain.RunAsync(_cancel.Token).GetAsyncEnumerator(_cancel.Token);
    }

    private MigrationRecord? Move(HostedGuest guest, string peer)
    {
        if (_refuse(guest) is { } refusal)
        {
            throw refusal;
        }

        if (!_mayBegin)
        {
            return null;
        }

        string id = $"m{_order.Count + 1}";
        guest.TakeForMigration(id, peer, out Task _);
        _order.Add($"{guest.Name} to {peer}");
        var record = new MigrationRecord(id, guest.Name, MigrationRole.Source, peer, MigrationMode.Postcopy, 1);
        _migrations.Add(record);
        _begun[guest.Name] = record;
        return record;
    }

    /// <summary>Begins with a guest that an operator has in hand, and a peer with room for it.</summary>
    private Task BeginWithGuestInHandAsync()
    {
        Create("a");
        _refuse = _ => new Refusal(Because.NotNow, "its memory is being read");
        _survey.Answers.Add(ScriptedSurvey.Peer("p:1", 5 * Size));
        Begin();
        return UntilAsync("a Waiting its memory is being read");
    }

    private void Create(params string[] names)
    {
        foreach (string name in names)
        {
            _guests.Create(JournalSamples.Spec(name));
        }
    }

    private HostedGuest Expect(string name, string migration) =>
        _guests.Expect(JournalSamples.Spec(name), share => Coming(name, share, migration));

    private HostedGuest Coming(string name, IDisposable share, string migration = "in")
    {
        _made.Add(new ScriptedGuest(name));
        return HostedGuest.Coming(_made[^1], share, GuestJournal.None, migration, "source");
    }

    private void Active(string guest) => _begun[guest].Enter(MigrationState.PostcopyActive);

    private void Complete(string guest)
    {
        _guests.Find(guest).GiveAway(new ScriptedElsewhere());
        _begun[guest].Enter(MigrationState.Completed);
    }

    private void Fail(string guest, MigrationState state, string why)
    {
        _guests.Find(guest).Return();
        _begun[guest].Enter(state, why);
    }

    private void AssertPassed(double atLeast, double atMost) =>
        Assert.InRange((_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, atLeast, atMost);

    /// <summary>The next update, however long it takes by the clock; null at the end.</summary>
    private async Task<DrainUpdate?> NextAsync()
    {
        using var deadline = new CancellationTokenSource(Soon);
        _next ??= _updates!.MoveNextAsync().AsTask();
        while (!_next.IsCompleted)
        {
            await AdvanceAsync(deadline.Token);
        }

        return await TakeAsync();
    }

    /// <summary>Lets so much time pass while the drain goes on.</summary>
    private async Task PassAsync(TimeSpan time)
    {
        DateTimeOffset end = _clock.GetUtcNow() + time;
        using var deadline = new CancellationTokenSource(Soon);
        while (_clock.GetUtcNow() < end)
        {
            _next ??= _updates!.MoveNextAsync().AsTask();
            if (_next.IsCompleted)
            {
                await TakeAsync();
            }
            else
            {
                await AdvanceAsync(deadline.Token);
            }
        }
    }

    private async Task AdvanceAsync(CancellationToken deadline)
    {
        deadline.ThrowIfCancellationRequested();
        if (_clock.TryAdvanceToNext())
        {
            // Whoever called goes on: the drain may have gone on within that, and be waiting for the clock again.
            await Task.Yield();
        }
        else
        {
            await Task.Delay(1, deadline);
        }
    }

    private async Task<DrainUpdate?> TakeAsync()
    {
        bool more = await _next!;
        _next = null;
        if (!more)
        {
            return null;
        }

        DrainUpdate update = _last = _updates!.Current;
        foreach (DrainGuest guest in update.Guests)
        {
            _told[guest.Name] = $"{guest.State} {guest.Reason}".TrimEnd();
        }

        return update;
    }

    /// <summary>Goes on until the guests are told of like this.</summary>
    private async Task UntilAsync(params string[] beginnings)
    {
        while (!beginnings.All(beginning => _told.Any(told => $"{told.Key} {told.Value}".StartsWith(beginning, StringComparison.Ordinal))))
        {
            Assert.True(await NextAsync() is not null, $"the drain ended with {string.Join(", ", _told)}");
        }
    }

    /// <summary>Goes on until the drain says that it has ended.</summary>
    private async Task<DrainUpdate> EndAsync()
    {
        while (_last is not { Ended: true })
        {
            Assert.NotNull(await NextAsync());
        }

        Assert.Null(await NextAsync());
        return _last;
    }
}
