using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Tests.Guests;

public sealed class GuestRegistryTests : IDisposable
{
    private const string Closed =
        "guest 'one' cannot be on this node: it is drained and takes no guests; 'migrationd undrain' there makes it take them again, or choose "
        + "another node";

    private static readonly GuestSpec Spec = JournalSamples.Spec("one");

    private readonly RecordedLog _log = new();
    private readonly TemporaryFolder _folder = new();
    private readonly List<ScriptedGuest> _made = [];
    private readonly MemoryBudget _budget = new(3 * Spec.MemoryBytes);

    public void Dispose()
    {
        _made.ForEach(guest => guest.Memory.Dispose());
        _folder.Dispose();
    }

    // ---- created here

    [Fact]
    public void Guest_that_is_created_runs_and_is_found()
    {
        GuestRegistry guests = Registry();
        HostedGuest one = guests.Create(Spec);
        Assert.Equal(["resume"], _made[0].Calls);
        Assert.Equal((GuestState.Running, null), (one.Snapshot().State, one.CameBy));
        Assert.Same(one, guests.Find("one"));
        Assert.Equal((Spec.MemoryBytes, _budget), (_budget.Used, guests.Budget));
        Assert.Equal((false, false, GuestJournal.None), (guests.IsClosed, guests.IsMaking, guests.Journal));
    }

    [Fact]
    public void Guests_are_in_the_order_of_their_names()
    {
        GuestRegistry guests = Registry();
        guests.Create(JournalSamples.Spec("b"));
        guests.Create(JournalSamples.Spec("a"));
        guests.Create(JournalSamples.Spec("B"));
        Assert.Equal(["B", "a", "b"], guests.All().Select(guest => guest.Name));
    }

    [Fact]
    public void Guest_of_a_name_that_is_taken_is_refused_and_the_one_before_stays()
    {
        GuestRegistry guests = Registry();
        HostedGuest one = guests.Create(Spec);
        const string Taken = "there is a guest 'one' on this node already; choose another name or delete that one";
        AssertRefused(Because.AlreadyThere, Taken, () => guests.Create(Spec));
        AssertRefused(Because.AlreadyThere, Taken, () => guests.Expect(Spec, _ => throw new InvalidOperationException("it is made")));
        Assert.Same(one, guests.Find("one"));
        Assert.Equal(Spec.MemoryBytes, _budget.Used);
    }

    [Fact]
    public void Guest_that_does_not_fit_is_refused_with_what_is_free()
    {
        GuestRegistry guests = Registry(new MemoryBudget(Spec.MemoryBytes + 4096));
        guests.Create(Spec);
        AssertRefused(
            Because.Busy,
            "guest 'two' needs 64MiB of memory and this node has 4KiB of 65540KiB free for guests; delete or move guests, or raise its "
            + "--guest-memory",
            () => guests.Create(JournalSamples.Spec("two")));
        Assert.Single(guests.All());
        Assert.False(guests.IsMaking);
    }

    [Fact]
    public void Guest_that_cannot_be_made_leaves_nothing()
    {
        GuestMemory? given = null;
        var guests = new GuestRegistry(_budget)
        {
            Make = (_, memory) =>
            {
                given = memory;
                throw new IOException("no /dev/kvm");
            },
        };
        Refusal refusal = AssertRefused(
            Because.NotNow, "guest 'one' cannot run on this node: no /dev/kvm", () => guests.Create(Spec));
        Assert.IsType<IOException>(refusal.InnerException);
        AssertNothingIsLeft(guests, given!);
    }

    [Fact]
    public void Refusal_of_whoever_makes_it_is_that_of_the_command()
    {
        GuestRegistry guests = Registry();
        Refusal why = new(Because.NotSupported, "not such a guest");
        Assert.Same(why, Assert.Throws<Refusal>(() => guests.Expect(Spec, _ => throw why)));
        Assert.Equal((0, 0L, false), (guests.All().Count, _budget.Used, guests.IsMaking));
    }

    [Fact]
    public void Guest_that_the_journal_cannot_note_is_not_created()
    {
        using GuestJournal journal = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
        Directory.Delete(_folder.PathOf("state/guests"), recursive: true);
        GuestRegistry guests = Registry(journal: journal);
        Assert.StartsWith(
            "guest 'one' is not created: its loss could not be reported",
            Assert.Throws<Refusal>(() => guests.Create(Spec)).Message, StringComparison.Ordinal);
        Assert.Equal(["dispose"], _made[0].Calls);
        AssertNothingIsLeft(guests, _made[0].Memory);
    }

    [Fact]
    public async Task Guest_that_is_created_is_in_the_journal_until_it_is_deleted()
    {
        using GuestJournal journal = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
        GuestRegistry guests = Registry(journal: journal);
        guests.Create(Spec);
        Assert.Equal(JournalState.Here, JournalEntry.Parse("one", File.ReadAllBytes(_folder.PathOf("state/guests/one.json"))).State);
        await guests.DeleteAsync("one");
        Assert.False(File.Exists(_folder.PathOf("state/guests/one.json")));
    }

    // ---- while one is made

    [Fact]
    public void Name_is_taken_while_the_guest_is_made_and_nobody_finds_it_yet()
    {
        GuestRegistry guests = Registry();
        HostedGuest expected = guests.Expect(Spec, share =>
        {
            Assert.True(guests.IsMaking);
            Assert.Equal(Spec.MemoryBytes, _budget.Used);
            Assert.Empty(guests.All());
            Assert.Equal(Because.NotFound, Assert.Throws<Refusal>(() => guests.Find("one")).Why);
            Assert.Equal(Because.AlreadyThere, Assert.Throws<Refusal>(() => guests.Create(Spec)).Why);
            return Coming(share);
        });
        Assert.False(guests.IsMaking);
        Assert.Same(expected, guests.Find("one"));
        Assert.Empty(_made[0].Calls);
    }

    [Fact]
    public void Node_that_is_closed_lets_nobody_in_and_finishes_who_is_being_made()
    {
        GuestRegistry guests = Registry();
        guests.Expect(JournalSamples.Spec("two"), share =>
        {
            guests.Close();
            return Coming(share, "two");
        });
        Assert.True(guests.IsClosed);
        AssertRefused(Because.NotNow, Closed, () => guests.Create(Spec));
        AssertRefused(Because.NotNow, Closed, () => guests.Expect(Spec, _ => throw new InvalidOperationException("it is made")));
        Assert.Equal(["two"], guests.All().Select(guest => guest.Name));
        guests.Open();
        Assert.False(guests.IsClosed);
        guests.Create(Spec);
    }

    // ---- that are not here any more

    [Fact]
    public async Task Name_of_a_guest_that_has_gone_elsewhere_is_free()
    {
        GuestRegistry guests = Registry();
        HostedGuest gone = await GoneAsync(guests);
        Assert.Equal(0, _budget.Used);
        HostedGuest next = guests.Create(Spec);
        Assert.Same(next, guests.Find("one"));
        await guests.Remove(gone);
        Assert.Same(next, guests.Find("one"));
    }

    [Fact]
    public async Task Record_of_a_guest_that_has_gone_stays_when_the_next_cannot_be_made()
    {
        GuestRegistry guests = Registry();
        HostedGuest gone = await GoneAsync(guests);
        Assert.Throws<Refusal>(() => guests.Expect(Spec, _ => throw new IOException("no")));
        Assert.Same(gone, guests.Find("one"));
        HostedGuest expected = guests.Expect(Spec, Coming);
        Assert.Null(expected.Former);
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task Deleted_guest_is_forgotten()
    {
        GuestRegistry guests = Registry();
        guests.Create(Spec);
        await guests.DeleteAsync("one");
        Assert.Equal(["resume", "dispose"], _made[0].Calls);
        Assert.Equal((0, 0L), (guests.All().Count, _budget.Used));
        const string None = "there is no guest 'one' on this node; see: migrationd guest list";
        AssertRefused(Because.NotFound, None, () => guests.Find("one"));
        Refusal again = await Assert.ThrowsAsync<Refusal>(() => guests.DeleteAsync("one"));
        Assert.Equal((Because.NotFound, None), (again.Why, again.Message));
    }

    [Fact]
    public async Task Guest_that_somebody_else_holds_stays_when_it_is_to_be_deleted()
    {
        GuestRegistry guests = Registry();
        HostedGuest one = guests.Create(Spec);
        one.TakeForMigration("0123456789ab", "there:1", out Task _);
        await Assert.ThrowsAsync<Refusal>(() => guests.DeleteAsync("one"));
        Assert.Same(one, guests.Find("one"));
    }

    // ---- that ended with a daemon before this one

    [Fact]
    public async Task Guest_that_was_left_keeps_its_name_until_it_is_deleted()
    {
        using GuestJournal journal = Left();
        GuestRegistry guests = Registry(journal: journal);
        Assert.NotNull(guests.Find("one").Left);
        AssertRefused(
            Because.AlreadyThere,
            "guest 'one' of this node ended with a daemon before this one, and that report would be lost: read it with 'migrationd guest show "
            + "one', end it with 'migrationd guest delete one', or choose another name",
            () => guests.Create(Spec));
        await guests.DeleteAsync("one");
        Assert.Empty(Directory.GetFiles(_folder.PathOf("state/guests")));
        guests.Create(Spec);
    }

    [Fact]
    public async Task Guest_that_comes_takes_the_name_of_one_that_was_left_and_gives_it_back_when_it_does_not_come()
    {
        using GuestJournal journal = Left();
        GuestRegistry guests = Registry(journal: journal);
        HostedGuest left = guests.Find("one");
        Assert.Throws<Refusal>(() => guests.Expect(Spec, _ => throw new IOException("no")));
        Assert.Same(left, guests.Find("one"));

        HostedGuest expected = guests.Expect(Spec, Coming);
        Assert.Same(left, expected.Former);
        Assert.Equal(
            [$"Guest one comes to this node and replaces what was known of one of that name: {left.Left!.Explain()}"], _log.Lines);
        expected.ForgetIncoming();
        await guests.Remove(expected);
        Assert.Same(left, guests.Find("one"));
        Assert.NotNull(JournalEntry.Parse("one", File.ReadAllBytes(_folder.PathOf("state/guests/one.json"))).End);
    }

    [Fact]
    public async Task One_that_was_left_and_is_deleted_meanwhile_does_not_get_its_name_back()
    {
        using GuestJournal journal = Left();
        GuestRegistry guests = Registry(journal: journal);
        HostedGuest left = guests.Find("one");
        HostedGuest expected = guests.Expect(Spec, Coming);
        await left.DeleteAsync();
        expected.ForgetIncoming();
        await guests.Remove(expected);
        Assert.Empty(guests.All());
        Assert.Empty(Directory.GetFiles(_folder.PathOf("state/guests")));
    }

    private static Refusal AssertRefused(Because why, string message, Action order)
    {
        Refusal refusal = Assert.Throws<Refusal>(order);
        Assert.Equal((why, message), (refusal.Why, refusal.Message));
        return refusal;
    }

    private void AssertNothingIsLeft(GuestRegistry guests, GuestMemory memory)
    {
        Assert.Throws<ObjectDisposedException>(() => memory.Write(0, [1]));
        Assert.Equal((0, 0L, false), (guests.All().Count, _budget.Used, guests.IsMaking));
        Assert.Equal(Because.NotFound, Assert.Throws<Refusal>(() => guests.Find("one")).Why);
    }

    private GuestRegistry Registry(MemoryBudget? budget = null, GuestJournal? journal = null) =>
        new(budget ?? _budget, journal ?? GuestJournal.None, _log)
        {
            Make = (spec, memory) =>
            {
                _made.Add(new ScriptedGuest(spec, memory));
                return _made[^1];
            },
        };

    private HostedGuest Coming(IDisposable share) => Coming(share, "one");

    private HostedGuest Coming(IDisposable share, string name)
    {
        _made.Add(new ScriptedGuest(name));
        return HostedGuest.Coming(_made[^1], share, GuestJournal.None, "0123456789ab", "source");
    }

    private static async Task<HostedGuest> GoneAsync(GuestRegistry guests)
    {
        HostedGuest gone = guests.Create(Spec);
        gone.TakeForMigration("0123456789ab", "there:1", out Task _);
        gone.GiveAway(new ScriptedElsewhere());
        await gone.FreeAwayAsync();
        return gone;
    }

    /// <summary>The journal of a node whose daemon was stopped while it had a guest.</summary>
    private GuestJournal Left()
    {
        using (GuestJournal before = GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance))
        {
            before.Create(Spec);
        }

        return GuestJournal.Open(_folder.PathOf("state"), NullLogger.Instance);
    }
}
