using System.Globalization;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace MigrationD.Daemon.Metrics;

/// <summary>Counts the requests of a server, each when it has been answered.</summary>
/// <param name="meter">Where to.</param>
internal sealed class RequestMeter(DaemonMeter meter)
{
    // What is not mapped is one route, or a stranger could make as many as he likes.
    private const string OtherRoute = "other";

    // What Grpc.AspNetCore calls the last part of its routes for methods that there are not.
    private const string UnknownMethod = "unimplementedMethod";

    public async Task CountAsync(HttpContext http, RequestDelegate next)
    {
        try
        {
            await next(http).ConfigureAwait(false);
        }
        finally
        {
            meter.RequestAnswered(RouteOf(http), CodeOf(http));
        }
    }

    private static string RouteOf(HttpContext http) =>
        http.GetEndpoint() is RouteEndpoint { RoutePattern: { RawText: { } route, Parameters: var parameters } }
        && !parameters.Any(parameter => parameter.Name is UnknownMethod)
            ? route
            : OtherRoute;

    /// <summary>Written like the others: dashboards were made for that before the library wrote it in capitals.</summary>
    private static string NameOf(StatusCode status) => status == StatusCode.OK ? "Ok" : status.ToString();

    private static string CodeOf(HttpContext http)
    {
        if (http.RequestAborted.IsCancellationRequested)
        {
            return nameof(StatusCode.Cancelled);
        }

        string? status = http.Response.Headers["grpc-status"];
        status ??= http.Features.Get<IHttpResponseTrailersFeature>()?.Trailers["grpc-status"];
        return int.TryParse(status, NumberStyles.None, CultureInfo.InvariantCulture, out int code)
            ? NameOf((StatusCode)code)
            : http.Response.StatusCode.ToString(CultureInfo.InvariantCulture);
    }
}
