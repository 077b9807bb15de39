using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace MigrationD.Daemon.Metrics;

/// <summary>An instrument as Prometheus sees it: a name, a type, and a series for each set of labels.</summary>
internal sealed class MetricFamily
{
    private readonly ConcurrentDictionary<string, MetricSeries> _series = new(StringComparer.Ordinal);
    private readonly Func<MetricSeries> _newSeries;
    private readonly string _type;
    private readonly string _help;
    private readonly bool _isObserved;
    private MetricSeries? _unlabelled;

    private MetricFamily(string name, string type, Instrument instrument, Func<MetricSeries> newSeries)
    {
        Name = name;
        _type = type;
        _help = instrument.Description ?? "";
        _isObserved = instrument.IsObservable;
        _newSeries = newSeries;
    }

    public string Name { get; }

    public static MetricFamily Of(Instrument instrument) => instrument switch
    {
        Histogram<double> histogram => OfHistogram(histogram),
        Counter<long> => Counter(instrument, () => new SumSeries()),
        ObservableCounter<long> => Counter(instrument, () => new LastSeries()),
        ObservableGauge<long> or ObservableUpDownCounter<long> => new(
            PrometheusText.Name(instrument.Name, instrument.Unit, isCounter: false), "gauge", instrument, () => new LastSeries()),
        _ => throw new NotSupportedException($"instrument {instrument.Name} is a {instrument.GetType()}, which is not exported"),
    };

    public void Take(double measurement, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            // What is measured on the page path has no tags: no key is made for it, and nothing allocated.
            (_unlabelled ??= _series.GetOrAdd("", _ => _newSeries())).Take(measurement);
            return;
        }

        _series.GetOrAdd(PrometheusText.Labels(tags), _ => _newSeries()).Take(measurement);
    }

    /// <summary>Before observed values are observed again: what is not observed any more is gone.</summary>
    public void ForgetObserved()
    {
        if (_isObserved)
        {
            _unlabelled = null;
            _series.Clear();
        }
    }

    public void Write(PrometheusText text)
    {
        text.Family(Name, _type, _help);
        foreach ((string labels, MetricSeries series) in _series.OrderBy(one => one.Key, StringComparer.Ordinal))
        {
            series.Write(text, Name, labels);
        }
    }

    private static MetricFamily Counter(Instrument instrument, Func<MetricSeries> newSeries) =>
        new(PrometheusText.Name(instrument.Name, instrument.Unit, isCounter: true), "counter", instrument, newSeries);

    private static MetricFamily OfHistogram(Histogram<double> histogram)
    {
        double[] bounds = [.. histogram.Advice?.HistogramBucketBoundaries
            ?? throw new NotSupportedException($"histogram {histogram.Name} does not say its buckets")];
        var family = new MetricFamily(
            PrometheusText.Name(histogram.Name, histogram.Unit, isCounter: false), "histogram", histogram,
            () => new HistogramSeries(bounds));
        // Empty rather than absent until something is measured, so that a rate of its first events can be told.
        family._unlabelled = family._series.GetOrAdd("", _ => family._newSeries());
        return family;
    }
}
