using System.Diagnostics.Metrics;

namespace MigrationD.Daemon.Metrics;

/// <summary>Listens to the instruments of one meter, and says what they have measured in the text format of Prometheus.</summary>
internal sealed class PrometheusExporter : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);

    /// <summary>Begins to listen: what was measured before is not known.</summary>
    /// <param name="meter">The meter; instruments that it gets later are listened to as well.</param>
    public PrometheusExporter(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            // The very meter: another daemon in this process has one of the same name.
            if (!ReferenceEquals(instrument.Meter, meter))
            {
                return;
            }

            MetricFamily family = MetricFamily.Of(instrument);
            lock (_lock)
            {
                _families.Add(family.Name, family);
            }

            listener.EnableMeasurementEvents(instrument, family);
        };
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, family) => ((MetricFamily)family!).Take(value, tags));
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, family) => ((MetricFamily)family!).Take(value, tags));
        _listener.Start();
    }

    /// <summary>Everything measured, and everything observed as it is now. One at a time.</summary>
    public string Scrape()
    {
        lock (_lock)
        {
            foreach (MetricFamily family in _families.Values)
            {
                family.ForgetObserved();
            }

            _listener.RecordObservableInstruments();
            var text = new PrometheusText();
            foreach (MetricFamily family in _families.Values)
            {
                family.Write(text);
            }

            return text.ToString();
        }
    }

    public void Dispose() => _listener.Dispose();
}
