using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Grpc.Core;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>What a daemon tells Prometheus, read by a parser that is not this project's.</summary>
public sealed class MetricsTests(ReaderScripts scripts) : IClassFixture<ReaderScripts>
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm | Needs.Node;
    private const int Pages = 64 * 256;

    private static readonly Marshaller<byte[]> AsItIs = Marshallers.Create(bytes => bytes, bytes => bytes);

    [MachineFact(Host)]
    public async Task Figures_of_a_migration_are_there_while_it_goes_on_and_after_it()
    {
        // The guest runs at the destination, which gets only what it asks for, until the source goes on.
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = "source.run-after:wait", DaemonProcess.Readable);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", DaemonProcess.Readable);
        await source.CreateGuestAsync("g", "kvm", "64MiB", "32MiB");
        // A histogram begins with its first event.
        Assert.DoesNotContain("migrationd_fault_latency", (await ScrapeAsync(destination)).Text, StringComparison.Ordinal);

        string id = await source.BeginMigrationAsync("g", destination);
        Migration live = await destination.MigrationUntilAsync(id, one => one.Placement is { PagesUrgent: > 16 });
        Assert.Equal(MigrationState.PostcopyActive, live.State);
        Metrics during = await ScrapeAsync(destination);
        source.GoOn();
        Migration left = await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Migration done = await destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Metrics after = await ScrapeAsync(destination);
        Metrics sent = await ScrapeAsync(source);

        Assert.Equal(1, during.Value("migrationd_migrations", ("role", "destination"), ("state", "postcopy-active")));
        Assert.Equal(1, during.Value("migrationd_guests", ("state", "running")));
        Assert.InRange(during.Value("migrationd_pages_received_total", ("path", "urgent")), 16, Pages - 1);
        Assert.InRange(during.Value("migrationd_fault_latency_seconds_count"), 16, Pages);

        Assert.Equal(0, after.Value("migrationd_migrations", ("role", "destination"), ("state", "postcopy-active")));
        Assert.Equal(1, after.Value("migrationd_migrations_ended_total", ("role", "destination"), ("state", "completed")));
        Assert.Equal(done.Placement.PagesUrgent, after.Value("migrationd_pages_received_total", ("path", "urgent")));
        Assert.Equal(done.Placement.PagesPush, after.Value("migrationd_pages_received_total", ("path", "push")));
        Assert.Equal(done.Placement.PagesZero, after.Value("migrationd_pages_received_total", ("path", "zero")));
        Assert.Equal(done.Placement.PagesRedundant, after.Value("migrationd_pages_received_total", ("path", "redundant")));
        Assert.Equal(done.BytesSent, after.Value("migrationd_lanes_received_bytes_total"));
        Assert.Equal(done.Placement.FaultLatency.Count, after.Value("migrationd_fault_latency_seconds_count"));
        Assert.Equal(done.Placement.BlocktimeUs / 1e6, after.Value("migrationd_fault_latency_seconds_sum"), 2e-6);
        Assert.Equal(64 << 20, after.Value("migrationd_guest_memory_bytes"));
        Assert.True(after.Value("migrationd_requests_total", ("route", "/migrationd.v1.Transport/Prepare"), ("code", "Ok")) == 1, after.Text);

        Assert.Equal(1, sent.Value("migrationd_migrations_ended_total", ("role", "source"), ("state", "completed")));
        Assert.Equal(1, sent.Value("migrationd_downtime_seconds_count"));
        Assert.Equal(left.DowntimeUs / 1e6, sent.Value("migrationd_downtime_seconds_sum"), 2e-6);
        Assert.InRange(sent.Value("migrationd_lanes_sent_bytes_total"), 24 << 20, 80 << 20);
        Assert.Equal(1, sent.Value("migrationd_guests", ("state", "migrated")));
        AssertMonotonous(during, after);
    }

    [MachineFact(Host)]
    public async Task Refusals_are_counted_under_the_route_that_is_mapped_and_no_other()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var http = new HttpClient();
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync($"http://{daemon.Web}/guess-{i}")).StatusCode);
        }

        (await daemon.CliAsync("guest", "show", "nobody")).Fails("nobody");

        Metrics metrics = await ScrapeAsync(daemon);
        Assert.Equal(20, metrics.Value("migrationd_requests_total", ("route", "other"), ("code", "404")));
        Assert.Equal(1, metrics.Value("migrationd_requests_total", ("route", "/migrationd.v1.Control/GetGuest"), ("code", "NotFound")));
        Assert.DoesNotContain("guess", metrics.Text, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Node)]
    public async Task What_no_door_serves_is_other()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        foreach (string target in new[] { daemon.Listen, $"unix:{daemon.Control}" })
        {
            using CallChannel channel = CallChannel.Connect(target);
            // Of a stranger, of a service that this door has and of the one that the other has.
            foreach (string service in new[] { "strangers.v1.Service", "migrationd.v1.Control", "migrationd.v1.Transport" })
            {
                var guess = new Method<byte[], byte[]>(MethodType.Unary, service, "Guess", AsItIs, AsItIs);
                Refusal refusal = await Assert.ThrowsAsync<Refusal>(async () => await channel.Invoker.AsyncUnaryCall(guess, null, default, []));
                Assert.Equal(StatusCode.Unimplemented, (StatusCode)refusal.Why);
            }
        }

        Metrics metrics = await ScrapeAsync(daemon);
        Assert.Equal(6, metrics.Value("migrationd_requests_total", ("route", "other"), ("code", "Unimplemented")));
        Assert.DoesNotContain("Guess", metrics.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("strangers", metrics.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("*/*")]
    [InlineData("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")]
    public async Task Everybody_gets_the_same_text(string accept)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Accept", accept);

        using HttpResponseMessage response = await http.GetAsync(new Uri($"http://{daemon.Web}/metrics"));

        Assert.Equal((HttpStatusCode.OK, HttpVersion.Version11), (response.StatusCode, response.Version));
        MediaTypeHeaderValue type = response.Content.Headers.ContentType!;
        Assert.Equal("text/plain", type.MediaType);
        Assert.Contains(new NameValueHeaderValue("version", "0.0.4"), type.Parameters);
        string page = await response.Content.ReadAsStringAsync();
        Assert.Contains("migrationd_info{node=\"daemon\"", page, StringComparison.Ordinal);
        Assert.DoesNotContain("_created", page, StringComparison.Ordinal);
        Assert.DoesNotContain("otel_", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("POST")]
    [InlineData("PUT")]
    [InlineData("DELETE")]
    public async Task Nothing_but_reading_is_answered(string method)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var http = new HttpClient();
        var request = new HttpRequestMessage(new HttpMethod(method), $"http://{daemon.Web}/metrics");
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await http.SendAsync(request)).StatusCode);
    }

    private static void AssertMonotonous(Metrics before, Metrics after)
    {
        foreach ((string series, double value) in before.Counters)
        {
            Assert.True(after.Counters[series] >= value, $"{series} fell from {value} to {after.Counters[series]}");
        }
    }

    private async Task<Metrics> ScrapeAsync(DaemonProcess daemon)
    {
        using var http = new HttpClient();
        string text = await http.GetStringAsync(new Uri($"http://{daemon.Web}/metrics"));
        return new Metrics(text, (await scripts.RunAsync("parse-metrics.js", text)).AsArray());
    }

    /// <summary>A page as the parser read it.</summary>
    private sealed class Metrics
    {
        private readonly Dictionary<string, double> _values = [];

        public Metrics(string text, JsonArray families)
        {
            Text = text;
            foreach (JsonNode family in families.Select(one => one!))
            {
                string name = (string)family["name"]!;
                Assert.False(string.IsNullOrEmpty((string?)family["help"]), $"{name} has no help");
                string type = (string)family["type"]!;
                Assert.Contains(type, new[] { "COUNTER", "GAUGE", "HISTOGRAM" });
                foreach (JsonNode metric in family["metrics"]!.AsArray().Select(one => one!))
                {
                    if (type == "HISTOGRAM")
                    {
                        AddHistogram(name, metric);
                    }
                    else
                    {
                        string series = Series(name, metric["labels"]?.AsObject().Select(label => (label.Key, (string)label.Value!)) ?? []);
                        _values.Add(series, Number(metric["value"]!));
                        if (type == "COUNTER")
                        {
                            Assert.EndsWith("_total", name, StringComparison.Ordinal);
                            Counters.Add(series, _values[series]);
                        }
                    }
                }
            }
        }

        public string Text { get; }

        public Dictionary<string, double> Counters { get; } = [];

        public double Value(string name, params (string Label, string Value)[] labels) =>
            _values.TryGetValue(Series(name, labels), out double value)
                ? value
                : throw new KeyNotFoundException($"{Series(name, labels)} in\n{Text}");

        private void AddHistogram(string name, JsonNode metric)
        {
            double count = Number(metric["count"]!);
            double sum = Number(metric["sum"]!);
            _values.Add($"{name}_count", count);
            _values.Add($"{name}_sum", sum);
            Counters.Add($"{name}_count", count);
            Counters.Add($"{name}_sum", sum);
            // An object of JavaScript puts whole numbers first, whatever their order was.
            (double Bound, double Count)[] buckets =
            [
                .. metric["buckets"]!.AsObject()
                    .Select(one => (Bound(one.Key), Number(one.Value!)))
                    .OrderBy(one => one.Item1),
            ];
            double last = 0;
            foreach ((double bound, double below) in buckets)
            {
                Assert.True(below >= last, $"{name}: bucket {bound} is less than the one before, so they are not cumulative");
                last = below;
            }

            Assert.Equal((double.PositiveInfinity, count), buckets[^1]);
        }

        private static double Bound(string text) =>
            text == "+Inf" ? double.PositiveInfinity : double.Parse(text, CultureInfo.InvariantCulture);

        private static double Number(JsonNode value) => double.Parse((string)value!, CultureInfo.InvariantCulture);

        private static string Series(string name, IEnumerable<(string Label, string Value)> labels) =>
            labels.Any()
                ? $"{name}{{{string.Join(',', labels.Select(one => $"{one.Label}={one.Value}").Order(StringComparer.Ordinal))}}}"
                : name;
    }
}
