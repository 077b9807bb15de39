using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using MigrationD.Daemon.Web;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace MigrationD.Daemon.Metrics;

/// <summary>
/// Brings what a <see cref="DaemonMeter"/> measures to those who want it: to Prometheus, on a page that it asks for.
/// </summary>
internal sealed class MetricsExport : IDisposable
{
    /// <summary>Where Prometheus looks for the page.</summary>
    public const string Path = "/metrics";

    private readonly MeterProvider _provider;

    private MetricsExport(MeterProvider provider)
    {
        _provider = provider;
    }

    /// <summary>Begins to listen: what was counted before is not known.</summary>
    /// <param name="meter">What is listened to.</param>
    public static MetricsExport Begin(DaemonMeter meter)
    {
        return new MetricsExport(Sdk.CreateMeterProviderBuilder()
            .AddMeter(meter.Meter.Name)
            // The very meter: another daemon in this process has one of the same name.
            .AddView(instrument => ReferenceEquals(instrument.Meter, meter.Meter) ? null : MetricStreamConfiguration.Drop)
            .AddPrometheusExporter(page =>
            {
                // Names and labels are a promise to dashboards; which daemon it is, migrationd_info says.
                page.ScopeInfoEnabled = false;
                page.TargetInfoEnabled = false;
                // A page is as things are when it is asked for.
                page.ScrapeResponseCacheDurationMilliseconds = 0;
            })
            .Build());
    }

    /// <summary>Lets the page be read.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        IApplicationBuilder page = routes.CreateApplicationBuilder();
        page.UseOpenTelemetryPrometheusScrapingEndpoint(
            _provider, predicate: _ => true, path: null, configureBranchedPipeline: null, optionsName: null);
        RequestDelegate write = page.Build();
        routes.MapRead(Path, http =>
        {
            // The same text for everybody: in OpenMetrics, which Prometheus would rather have, each counter has a series more, and
            // the bounds of buckets are written otherwise, so that dashboards would not find what they name.
            http.Request.Headers.Accept = default;
            http.Response.Headers.CacheControl = "no-store";
            return write(http);
        });
    }

    /// <summary>Listens no more.</summary>
    public void Dispose() => _provider.Dispose();
}
