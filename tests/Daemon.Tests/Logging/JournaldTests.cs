using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.TestSupport;
using Serilog.Events;
using Serilog.Parsing;

namespace MigrationD.Daemon.Tests.Logging;

public sealed class JournaldTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly StringWriter _otherwise = new();

    public void Dispose()
    {
        _folder.Dispose();
        _otherwise.Dispose();
    }

    [Fact]
    public async Task An_event_arrives_with_its_priority_and_its_fields()
    {
        string path = _folder.PathOf("journal.sock");
        using var journal = new DatagramListener(path);
        using var sink = new JournaldSink(path, _otherwise);

        sink.Emit(Event(
            LogEventLevel.Warning, "Guest {Guest} has {MemoryBytes} bytes", null,
            ("Guest", new ScalarValue("web")), ("MemoryBytes", new ScalarValue(1L << 29)), ("Node", new ScalarValue("alpha")),
            ("SourceContext", new ScalarValue("migrationd")),
            ("EventId", new StructureValue([new("Id", new ScalarValue(10)), new("Name", new ScalarValue("GuestCreated"))]))));

        Dictionary<string, string> entry = Parse(await journal.ReceiveBytesAsync());
        Assert.Equal("Guest web has 536870912 bytes", entry["MESSAGE"]);
        Assert.Equal("4", entry["PRIORITY"]);
        Assert.Equal("migrationd", entry["SYSLOG_IDENTIFIER"]);
        Assert.Equal("web", entry["MIGRATIOND_GUEST"]);
        Assert.Equal("536870912", entry["MIGRATIOND_MEMORY_BYTES"]);
        Assert.Equal("alpha", entry["MIGRATIOND_NODE"]);
        Assert.Equal("migrationd", entry["MIGRATIOND_LOGGER"]);
        Assert.Equal("10", entry["MIGRATIOND_EVENT_ID"]);
        Assert.Equal("GuestCreated", entry["MIGRATIOND_EVENT"]);
        Assert.Equal("", _otherwise.ToString());
    }

    [Fact]
    public void An_exception_is_in_the_message_and_whole_in_a_field()
    {
        var error = new IOException("the disk\nis gone", new InvalidOperationException("inner"));
        Dictionary<string, string> entry = Parse(JournaldEntry.Of(Event(LogEventLevel.Error, "It broke", error)));
        Assert.Equal("It broke: IOException: the disk\nis gone", entry["MESSAGE"]);
        Assert.Equal("3", entry["PRIORITY"]);
        Assert.Contains("inner", entry["MIGRATIOND_EXCEPTION"], StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_a_value_is_it_comes_back_and_adds_no_field() =>
        Prop.ForAll<string?>(text =>
        {
            string value = text ?? "";
            Dictionary<string, string> entry = Parse(JournaldEntry.Of(Event(
                LogEventLevel.Information, "A peer says something", null, ("Reason", new ScalarValue(value)))));
            // What is no character of Unicode has no form in UTF-8.
            string expected = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(value));
            return entry.Count == 4 && entry["MIGRATIOND_REASON"] == expected;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public async Task A_value_that_is_too_long_is_cut_between_characters_and_says_so()
    {
        string path = _folder.PathOf("journal.sock");
        using var journal = new DatagramListener(path);
        using var sink = new JournaldSink(path, _otherwise);
        string value = "x" + new string('ä', 1_000_000);

        sink.Emit(Event(LogEventLevel.Information, "{Reason}", null, ("Reason", new ScalarValue(value))));

        Dictionary<string, string> entry = Parse(await journal.ReceiveBytesAsync());
        string reason = entry["MIGRATIOND_REASON"];
        Assert.InRange(Encoding.UTF8.GetByteCount(reason), JournaldEntry.MaxValueBytes - 1, JournaldEntry.MaxValueBytes);
        Assert.EndsWith("ä... (2000001 bytes, the rest is left out)", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_journal_does_not_take_goes_to_standard_error()
    {
        string path = _folder.PathOf("journal.sock");
        using var sink = new JournaldSink(path, _otherwise);
        sink.Emit(Event(LogEventLevel.Error, "Lost:\nnothing", null));
        Assert.Equal($"<3>Lost: nothing{Environment.NewLine}", _otherwise.ToString());

        using var journal = new DatagramListener(path);
        sink.Emit(Event(LogEventLevel.Error, "The journal is back", null));
        Assert.Equal("The journal is back", Parse(await journal.ReceiveBytesAsync())["MESSAGE"]);
    }

    [Theory]
    [InlineData("Guest", "MIGRATIOND_GUEST")]
    [InlineData("DowntimeMs", "MIGRATIOND_DOWNTIME_MS")]
    [InlineData("0", "MIGRATIOND_0")]
    [InlineData("@odd-Näme", "MIGRATIOND__ODD_N_ME")]
    [InlineData("URL", "MIGRATIOND_URL")]
    public void A_field_has_a_name_that_the_journal_takes(string property, string field) =>
        Assert.Equal(field, JournaldEntry.FieldName(property));

    [Fact]
    public void No_name_is_longer_than_the_journal_takes() =>
        Prop.ForAll<string?>(text =>
        {
            string name = JournaldEntry.FieldName(string.Concat(Enumerable.Repeat(text ?? "", 20)));
            return name.Length <= 64 && name.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c) || c == '_');
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(LogEventLevel.Verbose, 7)]
    [InlineData(LogEventLevel.Debug, 7)]
    [InlineData(LogEventLevel.Information, 6)]
    [InlineData(LogEventLevel.Warning, 4)]
    [InlineData(LogEventLevel.Error, 3)]
    [InlineData(LogEventLevel.Fatal, 2)]
    public void Levels_are_the_priorities_of_syslog(LogEventLevel level, int priority) => Assert.Equal(priority, JournaldEntry.Priority(level));

    [Theory]
    [InlineData("8:4711", "socket:[4711]", true)]
    [InlineData("8:4711", "socket:[4712]", false)]
    [InlineData("8:4711", "/dev/null", false)]
    [InlineData("8:4711", "pipe:[4711]", false)]
    [InlineData("8:", "socket:[]", false)]
    [InlineData("4711", "socket:[4711]", false)]
    [InlineData("", "socket:[4711]", false)]
    [InlineData(null, "socket:[4711]", false)]
    [InlineData("8:4711", null, false)]
    public void The_journal_is_where_standard_error_still_leads_there(string? stream, string? target, bool expected) =>
        Assert.Equal(expected, JournaldStream.Is(stream, target));

    private static LogEvent Event(
        LogEventLevel level, string template, Exception? error, params (string Name, LogEventPropertyValue Value)[] properties) => new(
        DateTimeOffset.UnixEpoch, level, error, new MessageTemplateParser().Parse(template),
        properties.Select(one => new LogEventProperty(one.Name, one.Value)));

    /// <summary>Reads an entry as the journal does.</summary>
    private static Dictionary<string, string> Parse(ReadOnlySpan<byte> entry)
    {
        var fields = new Dictionary<string, string>();
        while (entry.Length > 0)
        {
            int end = entry.IndexOfAny((byte)'=', (byte)'\n');
            string name = Encoding.ASCII.GetString(entry[..end]);
            bool counted = entry[end] == '\n';
            entry = entry[(end + 1)..];
            int length = counted ? (int)BinaryPrimitives.ReadUInt64LittleEndian(entry) : entry.IndexOf((byte)'\n');
            entry = counted ? entry[sizeof(ulong)..] : entry;
            fields.Add(name, Encoding.UTF8.GetString(entry[..length]));
            Assert.Equal((byte)'\n', entry[length]);
            entry = entry[(length + 1)..];
        }

        return fields;
    }
}
