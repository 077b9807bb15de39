using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using MigrationD.Daemon.Security;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Brings what a <see cref="DaemonMeter"/> measures to those who want it: to Prometheus on a page that it asks for, and to a collector by
/// OTLP.
/// </summary>
internal sealed class MetricsExport(MeterProvider provider, CollectorTroubles? troubles) : IDisposable
{
    /// <summary>Where Prometheus looks for the page.</summary>
    public const string Path = "/metrics";

    /// <summary>Begins to listen to a meter: what was counted before is not known.</summary>
    /// <param name="meter">The meter.</param>
    /// <param name="node">The node's name.</param>
    /// <param name="hasPage">Whether there is a page; see <see cref="Map"/>.</param>
    /// <param name="collector">The collector that is sent to; null for none.</param>
    /// <param name="logger">Told when the collector cannot be reached.</param>
    public static MetricsExport Begin(DaemonMeter meter, string node, bool hasPage, Uri? collector, ILogger logger)
    {
        MeterProviderBuilder builder = Sdk.CreateMeterProviderBuilder()
            // The environment has the last word: its names are the usual ones (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES).
            .SetResourceBuilder(ResourceBuilder.CreateEmpty()
                .AddService("migrationd", serviceVersion: DaemonVersion.Text, serviceInstanceId: node)
                .AddTelemetrySdk()
                .AddEnvironmentVariableDetector())
            .AddMeter(meter.Meter.Name)
            // The very meter: another daemon in this process has one of the same name.
            .AddView(instrument => ReferenceEquals(instrument.Meter, meter.Meter) ? null : MetricStreamConfiguration.Drop);
        if (hasPage)
        {
            builder.AddPrometheusExporter(page =>
            {
                // Names and labels are a promise to dashboards; which daemon it is, migrationd_info says.
                page.ScopeInfoEnabled = false;
                page.TargetInfoEnabled = false;
                // A page is as things are when it is asked for.
                page.ScrapeResponseCacheDurationMilliseconds = 0;
            });
        }

        CollectorTroubles? listener = null;
        if (collector is not null)
        {
            listener = new CollectorTroubles(logger, TimeProvider.System);
            // All else about OTLP is read from the environment by the exporter itself (OTEL_EXPORTER_OTLP_PROTOCOL and its like).
            builder.AddOtlpExporter(otlp =>
                otlp.Endpoint = otlp.Protocol == OtlpExportProtocol.HttpProtobuf ? Below(collector, "v1/metrics") : collector);
        }

        return new MetricsExport(builder.Build(), listener);
    }

    /// <summary>Lets the page be read. There has to be one.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        IApplicationBuilder page = routes.CreateApplicationBuilder();
        page.UseOpenTelemetryPrometheusScrapingEndpoint(
            provider, predicate: _ => true, path: null, configureBranchedPipeline: null, optionsName: null);
        RequestDelegate write = page.Build();
        routes.MapRead(Path, http =>
        {
            // The same text for everybody: in OpenMetrics, which Prometheus would rather have, each counter has a series more, and
            // the bounds of buckets are written otherwise, so that dashboards would not find what they name.
            http.Request.Headers.Accept = default;
            http.Response.Headers.CacheControl = "no-store";
            return WriteWholeAsync(http, write);
        });
    }

    /// <summary>Sends the figures for the last time.</summary>
    public void Dispose()
    {
        provider.Dispose();
        troubles?.Dispose();
    }

    /// <summary>
    /// Writes the page into memory first: the exporter lets nobody else read while it writes, and a reader that takes no answer would keep
    /// all others waiting.
    /// </summary>
    private static async Task WriteWholeAsync(HttpContext http, RequestDelegate write)
    {
        Stream body = http.Response.Body;
        using var page = new MemoryStream();
        http.Response.Body = page;
        try
        {
            await write(http).ConfigureAwait(false);
        }
        finally
        {
            http.Response.Body = body;
        }

        page.Position = 0;
        await page.CopyToAsync(body, http.RequestAborted).ConfigureAwait(false);
    }

    // With HTTP each signal has a path of its own below the collector's address, as with OTEL_EXPORTER_OTLP_ENDPOINT.
    private static Uri Below(Uri collector, string path) => new(collector.AbsoluteUri.TrimEnd('/') + "/" + path);
}
