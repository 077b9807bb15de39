using System.Text;
using Microsoft.AspNetCore.Routing;
using MigrationD.Daemon.Web;

namespace MigrationD.Daemon.Metrics;

/// <summary><c>/metrics</c>, as Prometheus asks for it.</summary>
internal sealed class MetricsPage(DaemonMeter meter)
{
    /// <summary>Where it is.</summary>
    public const string Path = "/metrics";

    public void Map(IEndpointRouteBuilder routes) => routes.MapRead(Path, http =>
    {
        http.Response.ContentType = PrometheusText.ContentType;
        http.Response.Headers.CacheControl = "no-store";
        return http.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(meter.Scrape()), http.RequestAborted).AsTask();
    });
}
