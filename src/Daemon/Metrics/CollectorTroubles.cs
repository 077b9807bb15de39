using System.Diagnostics.Tracing;
using MigrationD.Daemon.Logging;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Tells the log when figures do not reach their collector. The exporter says that to an event source and to nobody else, each time that
/// it tries.
/// </summary>
internal sealed class CollectorTroubles(ILogger logger, TimeProvider clock) : EventListener
{
    private const string Exporter = "OpenTelemetry-Exporter-OpenTelemetryProtocol";

    // A collector may be away for a day, and each try says so: one line in this time is enough.
    private static readonly TimeSpan Silence = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private long? _saidAt;

    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name == Exporter)
        {
            EnableEvents(eventSource, EventLevel.Warning);
        }
    }

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        lock (_lock)
        {
            if (_saidAt is { } then && clock.GetElapsedTime(then) < Silence)
            {
                return;
            }

            _saidAt = clock.GetTimestamp();
        }

        string text = string.Format(CultureInfo.InvariantCulture, eventData.Message ?? "", [.. eventData.Payload ?? []]);
        // The lines after the first say where in the exporter it happened.
        DaemonLog.SendingFailed(logger, text.Split('\n')[0].TrimEnd(), (int)Silence.TotalMinutes);
    }
}
