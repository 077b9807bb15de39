using MigrationD.Daemon.Logging;
using MigrationD.Daemon.Tests.Hosting;
using Serilog.Core;
using Serilog.Events;
using Serilog.Parsing;

namespace MigrationD.Daemon.Tests.Logging;

public sealed class FloodGateTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly Lines _lines = new();
    private readonly FloodGate _gate;

    public FloodGateTests()
    {
        _gate = new FloodGate(_lines, ["strangers", "Microsoft."], _clock);
    }

    [Fact]
    public void What_is_too_much_in_a_window_is_counted_and_said_at_its_end()
    {
        Log("strangers", FloodGate.Most + 7);
        Assert.Equal(FloodGate.Most, _lines.Count);

        _clock.Advance(FloodGate.Window);

        Assert.Equal(FloodGate.Most + 1, _lines.Count);
        LogEvent summary = _lines[^1];
        Assert.Equal(LogEventLevel.Warning, summary.Level);
        Assert.Contains("7 more lines of \"strangers\"", summary.RenderMessage(), StringComparison.Ordinal);
        Assert.Equal("\"alpha\"", summary.Properties["Node"].ToString());
    }

    [Fact]
    public void The_next_window_begins_anew()
    {
        Log("strangers", 2 * FloodGate.Most);
        _clock.Advance(FloodGate.Window);
        _lines.Clear();

        Log("strangers", FloodGate.Most);
        _clock.Advance(FloodGate.Window);

        Assert.Equal(FloodGate.Most, _lines.Count);
    }

    [Fact]
    public void Each_source_has_its_own_room()
    {
        Log("strangers", 2 * FloodGate.Most);
        Log("Microsoft.Server", FloodGate.Most);
        Assert.Equal(2 * FloodGate.Most, _lines.Count);
    }

    [Fact]
    public void What_happens_to_guests_always_passes()
    {
        Log("migrationd", 10 * FloodGate.Most);
        Log(null, 10 * FloodGate.Most);
        Assert.Equal(20 * FloodGate.Most, _lines.Count);
    }

    [Fact]
    public void The_end_of_the_log_says_what_was_left_out()
    {
        Log("strangers", FloodGate.Most + 1);
        _gate.Dispose();
        Assert.Contains("1 more lines", _lines[^1].RenderMessage(), StringComparison.Ordinal);
    }

    public void Dispose() => _gate.Dispose();

    private void Log(string? source, int times)
    {
        MessageTemplate text = new MessageTemplateParser().Parse("a peer does what it should not");
        List<LogEventProperty> properties = [new("Node", new ScalarValue("alpha"))];
        if (source is not null)
        {
            properties.Add(new LogEventProperty(Constants.SourceContextPropertyName, new ScalarValue(source)));
        }

        for (int i = 0; i < times; i++)
        {
            _gate.Emit(new LogEvent(_clock.GetUtcNow(), LogEventLevel.Warning, null, text, properties));
        }
    }

    private sealed class Lines : List<LogEvent>, ILogEventSink
    {
        public void Emit(LogEvent logEvent) => Add(logEvent);
    }
}
