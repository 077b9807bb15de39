using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;

namespace MigrationD.Daemon.Tests.Guests;

/// <summary>The journal on a real disk. A daemon that dies leaves its directory as it is at that moment: a copy of it.</summary>
public sealed class GuestJournalTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();
    private readonly RecordedLog _log = new();
    private int _copies;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_new_directory_is_made_and_nothing_was_lost()
    {
        string folder = _folder.PathOf("a/b/c");
        using GuestJournal journal = GuestJournal.Open(folder, _log);

        Assert.Empty(journal.Left);
        Assert.Empty(_log.Lines);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
    }

    [Fact]
    public void After_a_death_exactly_the_guests_of_that_moment_are_left()
    {
        var changes = from name in Gen.Elements("one", "two", "three", "one.json", "one.json.new")
                      from state in Gen.Elements<JournalState?>(
                          null, JournalState.Here, JournalState.Leaving, JournalState.Away, JournalState.Arriving, JournalState.Expected)
                      select (name, state);
        // Each run waits for the disk.
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(25), Prop.ForAll(changes.ArrayOf().ToArbitrary(), all =>
        {
            var expected = new SortedDictionary<string, JournalState>(StringComparer.Ordinal);
            using GuestJournal living = GuestJournal.Open(_folder.PathOf($"{++_copies}"), _log);
            Task<string?>[] written = [.. all.Select(change =>
            {
                if (change.state is not { } state)
                {
                    expected.Remove(change.name);
                    return living.Remove(change.name);
                }

                expected[change.name] = state;
                return living.Record(JournalSamples.Entry(change.name, state));
            })];
            Assert.True(Task.WaitAll(written, Deadline));
            Assert.All(written, one => Assert.Null(one.Result));

            using GuestJournal after = GuestJournal.Open(Copy($"{_copies}"), _log);
            Assert.Equal(
                expected.Where(one => one.Value != JournalState.Expected).Select(one => (one.Key, one.Value)),
                after.Left.Select(entry => (entry.Spec.Name, entry.State)).OrderBy(one => one.Name, StringComparer.Ordinal));
            Assert.All(after.Left, entry => Assert.Equal(JournalEnd.Death, entry.End));
        }));
        Assert.DoesNotContain(_log.Errors, line => line.Contains("journal", StringComparison.Ordinal));
    }

    [Fact]
    public void A_death_while_an_entry_is_written_leaves_the_one_before()
    {
        byte[] next = JournalSamples.Entry("g", JournalState.Leaving).ToJson();
        using (GuestJournal living = Open("state"))
        {
            Wait(living.Record(JournalSamples.Entry("g", JournalState.Here)));
            for (int length = 0; length <= next.Length; length += 16)
            {
                string copy = Copy("state");
                File.WriteAllBytes(Path.Combine(copy, "guests", "g.json.new"), next[..length]);

                using (GuestJournal after = GuestJournal.Open(copy, _log))
                {
                    Assert.Equal(JournalState.Here, Assert.Single(after.Left).State);
                }

                Assert.Equal(["g.json"], Names(copy));
            }
        }
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_said_and_kept_and_hides_no_other()
    {
        using (GuestJournal living = Open("state"))
        {
            Wait(living.Record(JournalSamples.Entry("good", JournalState.Here)));
            string copy = Copy("state");
            (string Name, string Text)[] files =
            [
                ("cut.json", "{\"version\":1,\"guest\":{\"sp"), ("empty.json", ""), ("later.json", "{\"version\":7}"),
                (".json", "{}"), ("not a name.json", "{\"version\":1}"), ("zeros.json", new string('\0', 300)),
            ];
            foreach ((string name, string text) in files)
            {
                File.WriteAllText(Path.Combine(copy, "guests", name), text);
            }

            File.WriteAllText(Path.Combine(copy, "guests", "README"), "nothing of the daemon's");
            using GuestJournal after = GuestJournal.Open(copy, _log);

            Assert.Equal("good", Assert.Single(after.Left).Spec.Name);
            Assert.All(files, file => Assert.Single(
                _log.Errors, line => line.Contains($"{copy}/guests/{file.Name} cannot be read", StringComparison.Ordinal)));
            Assert.Contains(_log.Errors, line => line.Contains("version 7, and this daemon reads version 1", StringComparison.Ordinal));
            Assert.All(files, file => Assert.Equal(file.Text, File.ReadAllText(Path.Combine(copy, "guests", file.Name))));
        }
    }

    [Fact]
    public void A_report_stays_as_it_is_through_deaths_and_stops()
    {
        using GuestJournal living = Open("state");
        Wait(living.Record(JournalSamples.Entry("g", JournalState.Here)));
        string copy = Copy("state");
        JournalEntry first;
        using (GuestJournal second = GuestJournal.Open(copy, _log))
        {
            first = Assert.Single(second.Left);
        }

        using GuestJournal third = GuestJournal.Open(copy, _log);
        Assert.Equal(first, Assert.Single(third.Left));
        Wait(third.Remove("g"));
        Assert.Empty(Names(copy));
    }

    [Fact]
    public void Since_when_nothing_was_heard_is_the_time_of_the_lock()
    {
        using GuestJournal living = Open("state");
        Wait(living.Record(JournalSamples.Entry("g", JournalState.Here)));
        string copy = Copy("state");
        File.SetLastWriteTimeUtc(Path.Combine(copy, "lock"), new DateTime(2027, 1, 2, 3, 4, 5, DateTimeKind.Utc));

        using GuestJournal after = GuestJournal.Open(copy, _log);
        Assert.Equal(new DateTimeOffset(2027, 1, 2, 3, 4, 5, TimeSpan.Zero), Assert.Single(after.Left).EndedAt);
        Assert.Contains(_log.Errors, line => line.StartsWith("Guest g: lost: ", StringComparison.Ordinal)
            && line.Contains("last seen alive at 2027-01-02 03:04:05Z", StringComparison.Ordinal));
    }

    [Fact]
    public void A_stop_is_no_death()
    {
        using (GuestJournal living = Open("state"))
        {
            living.Record(JournalSamples.Entry("here", JournalState.Here));
            living.Record(JournalSamples.Entry("coming", JournalState.Expected));
            living.Record(JournalSamples.Entry("gone", JournalState.Here));
            living.Remove("gone");
        }

        using GuestJournal after = Open("state");
        JournalEntry left = Assert.Single(after.Left);
        Assert.Equal(("here", JournalEnd.Stop), (left.Spec.Name, left.End!.Value));
        Assert.True(left.EndedAt > DateTimeOffset.UtcNow - Deadline);
        Assert.Empty(_log.Errors);
    }

    [Fact]
    public void A_guest_that_was_expected_gives_way_to_what_was_known_before()
    {
        using GuestJournal living = Open("state");
        JournalEntry former = JournalSamples.Entry("g", JournalState.Away) with { End = JournalEnd.Death, EndedAt = JournalSamples.Noon };
        Wait(living.Record(JournalSamples.Entry("g", JournalState.Expected) with { Former = former }));

        string copy = Copy("state");
        for (int death = 0; death < 2; death++)
        {
            using GuestJournal after = GuestJournal.Open(copy, _log);
            Assert.Equal(former, Assert.Single(after.Left));
        }

        Assert.Single(_log.Lines, line => line.Contains("g was to come from 10.0.0.6:7461", StringComparison.Ordinal));
    }

    [Fact]
    public void A_directory_has_one_daemon_and_is_free_after_it()
    {
        using (Open("state"))
        {
            IOException refused = Assert.Throws<IOException>(() => Open("state"));
            Assert.Contains("another daemon keeps its own there", refused.Message, StringComparison.Ordinal);
        }

        using GuestJournal after = Open("state");
    }

    [Fact]
    public void A_path_that_is_no_directory_is_refused()
    {
        string file = _folder.Write("file", "");
        Assert.Contains(
            $"keep the journal of guests in {file}: ", Assert.Throws<IOException>(() => GuestJournal.Open(file, _log)).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "another --state", Assert.Throws<IOException>(() => GuestJournal.Open("/proc/state", _log)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_written_is_said_once_and_written_when_it_can_be()
    {
        string copy;
        using (GuestJournal journal = Open("state"))
        {
            Wait(journal.Record(JournalSamples.Entry("moved", JournalState.Here)));
            string guests = _folder.PathOf("state/guests");
            Directory.Move(guests, guests + ".away");

            Refusal refused = Assert.Throws<Refusal>(() => journal.Create(JournalSamples.Spec("refused")));
            Assert.Equal(Because.NotNow, refused.Why);
            Assert.Contains("guest 'refused' is not created: its loss could not be reported", refused.Message, StringComparison.Ordinal);
            Assert.NotNull(Result(journal.Remove("moved")));
            Assert.NotNull(Result(journal.Record(JournalSamples.Entry("came", JournalState.Arriving))));
            Assert.Single(_log.Errors, line => line.Contains("cannot be written", StringComparison.Ordinal));

            Directory.Move(guests + ".away", guests);
            journal.Create(JournalSamples.Spec("accepted"));
            Assert.Single(_log.Lines, line => line.Contains("is written again, and complete", StringComparison.Ordinal));
            copy = Copy("state");
        }

        using GuestJournal after = GuestJournal.Open(copy, _log);
        Assert.Equal(["accepted", "came"], after.Left.Select(entry => entry.Spec.Name));
    }

    [Fact]
    public void What_could_not_be_written_is_tried_again_by_itself()
    {
        using GuestJournal journal = Open("state");
        string guests = _folder.PathOf("state/guests");
        Directory.Move(guests, guests + ".away");
        Assert.NotNull(Result(journal.Record(JournalSamples.Entry("g", JournalState.Here))));
        Directory.Move(guests + ".away", guests);

        Assert.True(SpinWait.SpinUntil(() => File.Exists(Path.Combine(guests, "g.json")), Deadline));
    }

    [Fact]
    public void Without_a_directory_nothing_is_remembered_and_nothing_refused()
    {
        using GuestJournal journal = GuestJournal.Open(null, _log);
        journal.Create(JournalSamples.Spec("g"));
        Wait(journal.Record(JournalSamples.Entry("g", JournalState.Leaving)));
        Wait(journal.Remove("g"));
        Assert.Empty(journal.Left);
    }

    private static string? Result(Task<string?> written)
    {
        Assert.True(written.Wait(Deadline));
        return written.Result;
    }

    private static void Wait(Task<string?> written) => Assert.Null(Result(written));

    private static IEnumerable<string?> Names(string state) => Directory.GetFiles(Path.Combine(state, "guests")).Select(Path.GetFileName);

    private GuestJournal Open(string name) => GuestJournal.Open(_folder.PathOf(name), _log);

    private string Copy(string name)
    {
        string from = _folder.PathOf(name);
        string to = _folder.PathOf($"{name}-copy-{++_copies}");
        Directory.CreateDirectory(Path.Combine(to, "guests"));
        File.WriteAllBytes(Path.Combine(to, "lock"), []);
        foreach (string file in Directory.GetFiles(Path.Combine(from, "guests")))
        {
            File.Copy(file, Path.Combine(to, "guests", Path.GetFileName(file)));
        }

        return to;
    }
}
