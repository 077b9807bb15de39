using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace MigrationD.Daemon.Metrics;

/// <summary>Counts the requests of a server, each when it has been answered.</summary>
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
        http.GetEndpoint() is RouteEndpoint { RoutePattern.RawText: { } route } && !IsOfUnknownMethod(http) ? route : OtherRoute;

    private static bool IsOfUnknownMethod(HttpContext http) =>
        http.GetEndpoint() is RouteEndpoint { RoutePattern.Parameters: var parameters }
        && parameters.Any(parameter => parameter.Name is UnknownMethod);

    private static string CodeOf(HttpContext http) =>
        http.RequestAborted.IsCancellationRequested ? nameof(StatusCode.Cancelled)
        // Dashboards were made for "Ok" before the library wrote it in capitals.
        : http.Features.Get<IServerCallContextFeature>() is { ServerCallContext.Status.StatusCode: var status }
            ? status == StatusCode.OK ? "Ok" : status.ToString()
        : IsOfUnknownMethod(http) ? nameof(StatusCode.Unimplemented)
        : http.Response.StatusCode.ToString(CultureInfo.InvariantCulture);
}
