using Serilog.Core;
using Serilog.Events;
using Serilog.Parsing;

namespace MigrationD.Daemon.Logging;

/// <summary>
/// Lets only so many lines a while into the log of what strangers can cause by connecting, and says how many it has left out. What
/// happens to guests and migrations always passes.
/// </summary>
internal sealed class FloodGate : ILogEventSink, IDisposable
{
    /// <summary>How many lines of each source pass in each <see cref="Window"/>.</summary>
    public const int Most = 50;

    /// <summary>How long lines are counted, from the first one on.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    private static readonly MessageTemplate LeftOut = new MessageTemplateParser().Parse(
        "{Count} more lines of {SourceContext} in {Seconds} s are left out: a peer breaks rules or connects too often");

    private readonly Lock _lock = new();
    private readonly ILogEventSink _log;
    private readonly TimeProvider _clock;
    private readonly Source[] _sources;

    /// <param name="log">Takes the lines that pass.</param>
    /// <param name="sources">How the names of the sources begin that log what strangers cause.</param>
    /// <param name="clock">The clock of the windows.</param>
    public FloodGate(ILogEventSink log, IEnumerable<string> sources, TimeProvider clock)
    {
        _log = log;
        _clock = clock;
        _sources = [.. sources.Select(name => new Source(name))];
        foreach (Source source in _sources)
        {
            source.Timer = clock.CreateTimer(Open, source, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    public void Emit(LogEvent logEvent)
    {
        if (IsAdmitted(logEvent))
        {
            _log.Emit(logEvent);
        }
    }

    public void Dispose()
    {
        foreach (Source source in _sources)
        {
            source.Timer?.Dispose();
            Open(source);
        }

        (_log as IDisposable)?.Dispose();
    }

    private bool IsAdmitted(LogEvent logEvent)
    {
        if (!logEvent.Properties.TryGetValue(Constants.SourceContextPropertyName, out LogEventPropertyValue? context)
            || context is not ScalarValue { Value: string name }
            || Array.Find(_sources, one => name.StartsWith(one.Name, StringComparison.Ordinal)) is not { } source)
        {
            return true;
        }

        lock (_lock)
        {
            if (source.Lines++ == 0)
            {
                source.Timer?.Change(Window, Timeout.InfiniteTimeSpan);
            }

            if (source.Lines <= Most)
            {
                return true;
            }

            source.Last = logEvent;
            return false;
        }
    }

    /// <summary>Ends the window of a source.</summary>
    private void Open(object? state)
    {
        var source = (Source)state!;
        int left;
        LogEvent? last;
        lock (_lock)
        {
            left = source.Lines - Most;
            last = source.Last;
            source.Lines = 0;
            source.Last = null;
        }

        if (last is not null)
        {
            // The line has what every line of this daemon carries besides its own text.
            _log.Emit(new LogEvent(_clock.GetLocalNow(), LogEventLevel.Warning, null, LeftOut,
            [
                .. last.Properties.Where(one => one.Key is "Node" or Constants.SourceContextPropertyName)
                    .Select(one => new LogEventProperty(one.Key, one.Value)),
                new LogEventProperty("Count", new ScalarValue(left)),
                new LogEventProperty("Seconds", new ScalarValue((int)Window.TotalSeconds)),
            ]));
        }
    }

    private sealed class Source(string name)
    {
        public string Name { get; } = name;

        public ITimer? Timer { get; set; }

        public int Lines { get; set; }

        public LogEvent? Last { get; set; }
    }
}
