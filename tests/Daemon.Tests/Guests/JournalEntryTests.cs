using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Guests;

namespace MigrationD.Daemon.Tests.Guests;

public sealed class JournalEntryTests
{
    [Fact]
    public void What_is_written_is_read_back() => Prop.ForAll(
        JournalSamples.Any("web").ToArbitrary(), entry => JournalEntry.Parse("web", entry.ToJson()) == entry).QuickCheckThrowOnFailure();

    [Fact]
    public void An_entry_that_is_cut_off_anywhere_is_refused()
    {
        byte[] whole = JournalSamples.Entry("web", JournalState.Leaving).ToJson();
        for (int length = 0; length < whole.Length; length++)
        {
            byte[] part = whole[..length];
            Assert.ThrowsAny<JsonException>(() => JournalEntry.Parse("web", part));
        }
    }

    [Fact]
    public void Bytes_that_were_changed_are_read_or_refused_and_nothing_else()
    {
        byte[] whole = JournalSamples.Entry("web", JournalState.Arriving).ToJson();
        var changes = from at in Gen.Choose(0, whole.Length - 1)
                      from to in Gen.Choose(0, 255)
                      select (at, to);
        Prop.ForAll(changes.ToArbitrary(), change =>
        {
            byte[] changed = [.. whole];
            changed[change.at] = (byte)change.to;
            try
            {
                return JournalEntry.Parse("web", changed).Spec.Name == "web";
            }
            catch (JsonException error)
            {
                return error.Message.Length > 0;
            }
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("null", "does not say its version")]
    [InlineData("[1]", "does not say its version")]
    [InlineData("{}", "does not say its version")]
    [InlineData("{\"version\":\"1\"}", "does not say its version")]
    [InlineData("{\"version\":2,\"guests\":[]}", "it is of version 2, and this daemon reads version 1")]
    [InlineData("{\"version\":1e99}", "it is of version 1e99")]
    [InlineData("{\"version\":1}", "guest")]
    [InlineData("{\"version\":1,\"guest\":null}", "guest")]
    [InlineData("{\"version\":1,\"guest\":{\"state\":\"Here\"}}", "spec")]
    public void What_is_no_entry_is_refused_with_the_reason(string text, string expected) => Assert.Contains(
        expected,
        Assert.ThrowsAny<JsonException>(() => JournalEntry.Parse("web", Encoding.UTF8.GetBytes(text))).Message,
        StringComparison.Ordinal);

    [Fact]
    public void An_entry_about_another_guest_is_refused()
    {
        byte[] json = JournalSamples.Entry("../web", JournalState.Here).ToJson();

        Assert.Contains("'../web'", Assert.Throws<JsonException>(() => JournalEntry.Parse("web", json)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "name must be", Assert.Throws<JsonException>(() => JournalEntry.Parse("../web", json)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Death", "Here", "lost: ", "alive at 2026-11-21 12:01:00Z", "memory, which was in that process", "since 2026-11-21 12:00:00Z")]
    [InlineData("Death", "Leaving", "lost: ", "migration 0123456789ab was moving it to 10.0.0.6:7461", "It may run there", "guest list")]
    [InlineData("Death", "Away", "lost: ", "run at 10.0.0.6:7461 since 2026-11-21 12:00:00Z", "not all of its pages", "guest show web")]
    [InlineData("Death", "Arriving", "lost: ", "still on 10.0.0.6:7461", "resolve 0123456789ab --resume-here", "it did since is lost")]
    [InlineData("Stop", "Here", "ended by a stop: ", "in order at 2026-11-21 12:01:00Z", "since 2026-11-21 12:00:00Z", "guest delete")]
    [InlineData("Stop", "Away", "ended by a stop: ", "stopped in order at", "it has run at 10.0.0.6:7461", "guest delete web")]
    public void What_became_of_it_is_said_with_what_can_be_done(string end, string state, string begin, params string[] parts)
    {
        string text = (JournalSamples.Entry("web", Enum.Parse<JournalState>(state)) with
        {
            End = Enum.Parse<JournalEnd>(end),
            EndedAt = JournalSamples.Noon.AddMinutes(1),
        }).Explain();

        Assert.StartsWith(begin, text, StringComparison.Ordinal);
        Assert.All(parts, part => Assert.Contains(part, text, StringComparison.Ordinal));
        Assert.EndsWith("'migrationd guest delete web' ends this report and frees the name", text, StringComparison.Ordinal);
    }
}
