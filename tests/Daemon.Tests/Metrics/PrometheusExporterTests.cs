using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Metrics;

namespace MigrationD.Daemon.Tests.Metrics;

public sealed class PrometheusExporterTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly PrometheusExporter _exporter;

    public PrometheusExporterTests() => _exporter = new PrometheusExporter(_meter);

    public void Dispose()
    {
        _exporter.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public void A_counter_adds_up_by_labels()
    {
        Counter<long> counter = _meter.CreateCounter<long>("a.b", "{thing}", "Things.");
        counter.Add(2, new("x", "1"), new("y", 7));
        counter.Add(3, new("x", "1"), new("y", 7));
        counter.Add(1, new KeyValuePair<string, object?>("x", "2"));

        Assert.Equal(
            "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total{x=\"1\",y=\"7\"} 5\na_b_total{x=\"2\"} 1\n", _exporter.Scrape());
    }

    [Fact]
    public void An_observed_counter_is_what_it_was_observed_to_be()
    {
        long total = 5;
        _meter.CreateObservableCounter("sent", () => total, "By", "Sent.");
        _exporter.Scrape();
        total = 8;

        Assert.EndsWith("\nsent_bytes_total 8\n", _exporter.Scrape(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_observed_any_more_is_gone()
    {
        string state = "one";
        _meter.CreateObservableGauge("g", () => new Measurement<long>(1, new KeyValuePair<string, object?>("state", state)));
        Assert.Contains("g{state=\"one\"} 1\n", _exporter.Scrape(), StringComparison.Ordinal);
        state = "two";

        string text = _exporter.Scrape();
        Assert.Contains("g{state=\"two\"} 1\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("one", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_histogram_has_cumulative_buckets_a_sum_and_a_count()
    {
        Histogram<double> histogram = _meter.CreateHistogram(
            "wait", "s", "Waits.", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1, 2e-5 * 1e6] });
        Assert.Contains("wait_seconds_count 0\n", _exporter.Scrape(), StringComparison.Ordinal);
        foreach (double wait in new[] { 0.25, 0.5, 0.75, 3, 100 })
        {
            histogram.Record(wait);
        }

        Assert.Equal(
            "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n"
            + "wait_seconds_bucket{le=\"0.5\"} 2\nwait_seconds_bucket{le=\"1\"} 3\n"
            + "wait_seconds_bucket{le=\"20\"} 4\nwait_seconds_bucket{le=\"+Inf\"} 5\nwait_seconds_sum 104.5\nwait_seconds_count 5\n",
            _exporter.Scrape());
    }

    [Fact]
    public void Buckets_count_what_is_at_or_below_them()
    {
        double[] bounds = [0.001, 0.01, 0.1];
        Histogram<double> histogram = _meter.CreateHistogram(
            "h", "s", "H.", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });
        var all = new List<double>();
        Gen<double> waits = from exponent in Gen.Choose(-50, 0)
                            select Math.Pow(10, exponent / 10.0);
        Prop.ForAll(waits.ToArbitrary(), wait =>
        {
            histogram.Record(wait);
            all.Add(wait);
            string text = _exporter.Scrape();
            return bounds.All(bound => text.Contains(
                    $"h_seconds_bucket{{le=\"{bound.ToString(CultureInfo.InvariantCulture)}\"}} {all.Count(one => one <= bound)}\n",
                    StringComparison.Ordinal))
                && text.Contains($"h_seconds_bucket{{le=\"+Inf\"}} {all.Count}\n", StringComparison.Ordinal)
                && text.Contains($"h_seconds_count {all.Count}\n", StringComparison.Ordinal);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_label_value_is_read_back_as_it_was()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), text =>
        {
            string labels = PrometheusText.Labels([new("l", text.Get)]);
            return labels.StartsWith("l=\"", StringComparison.Ordinal) && labels.EndsWith('"') && !labels.Contains('\n')
                && Unescape(labels[3..^1]) == text.Get;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("back\\slash\nnew \"quoted\"", "# HELP m back\\\\slash\\nnew \"quoted\"\n")]
    [InlineData("plain", "# HELP m plain\n")]
    public void Help_is_one_line(string help, string expected)
    {
        var text = new PrometheusText();
        text.Family("m", "gauge", help);
        Assert.StartsWith(expected, text.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.NegativeInfinity, "-Inf")]
    [InlineData(double.NaN, "NaN")]
    [InlineData(0.000025, "2.5e-05")]
    [InlineData(22748859180, "22748859180")]
    public void Numbers(double value, string expected) => Assert.Equal(expected, PrometheusText.Number(value));

    [Theory]
    [InlineData("9lives.of-cats", null, false, "_9lives_of_cats")]
    [InlineData("a.b", "s", false, "a_b_seconds")]
    [InlineData("a.b", "By", true, "a_b_bytes_total")]
    [InlineData("a.b", "{page}", true, "a_b_total")]
    public void Names(string instrument, string? unit, bool isCounter, string expected) =>
        Assert.Equal(expected, PrometheusText.Name(instrument, unit, isCounter));

    [Fact]
    public void Another_meter_of_the_same_name_is_not_listened_to()
    {
        using var other = new Meter("test");
        other.CreateCounter<long>("stranger").Add(1);
        Assert.Equal("", _exporter.Scrape());
    }

    [Fact]
    public async Task Nothing_is_lost_between_threads()
    {
        Counter<long> counter = _meter.CreateCounter<long>("c");
        Histogram<double> histogram = _meter.CreateHistogram(
            "h", null, "", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [1] });
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                counter.Add(1);
                histogram.Record(0.5);
            }
        })));

        string text = _exporter.Scrape();
        Assert.Contains("c_total 80000\n", text, StringComparison.Ordinal);
        Assert.Contains("h_sum 40000\nh_count 80000\n", text, StringComparison.Ordinal);
    }

    private static string Unescape(string text)
    {
        var plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\')
            {
                i++;
                plain.Append(text[i] == 'n' ? '\n' : text[i]);
            }
            else
            {
                plain.Append(text[i] == '"' ? throw new FormatException("a quote that is not escaped") : text[i]);
            }
        }

        return plain.ToString();
    }
}
