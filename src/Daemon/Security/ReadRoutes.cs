using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace MigrationD.Daemon.Security;

/// <summary>
/// Routes that only ever answer GET and HEAD, with the headers that keep a browser from making more of an answer than it is.
/// </summary>
internal static class ReadRoutes
{
    // Nothing but what this daemon serves itself, nothing inline, nobody else's frame.
    private const string ContentPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'";

    public static void MapRead(this IEndpointRouteBuilder routes, string pattern, Func<HttpContext, Task> answer) =>
        routes.MapMethods(pattern, [HttpMethods.Get, HttpMethods.Head], (RequestDelegate)(http =>
        {
            IHeaderDictionary headers = http.Response.Headers;
            headers.ContentSecurityPolicy = ContentPolicy;
            headers.XContentTypeOptions = "nosniff";
            headers.XFrameOptions = "DENY";
            headers["Referrer-Policy"] = "no-referrer";
            headers["Cross-Origin-Resource-Policy"] = "same-origin";
            if (IsMisdirected(http))
            {
                http.Response.StatusCode = StatusCodes.Status421MisdirectedRequest;
                http.Response.ContentType = "text/plain; charset=utf-8";
                return http.Response.WriteAsync(
                    "This daemon listens on loopback only, and there it is called localhost or by its address, not "
                    + $"{http.Request.Host.Host}.\n");
            }

            return answer(http);
        }));

    /// <summary>
    /// Whether a browser was led here by a name that is not this host's: a stranger's page may have its name point to loopback, and
    /// would then read what is served to this host alone (DNS rebinding).
    /// </summary>
    private static bool IsMisdirected(HttpContext http) =>
        http.Connection.LocalIpAddress is { } local && IPAddress.IsLoopback(local)
        && http.Request.Host.Host is var host
        && !host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        && !IPAddress.TryParse(host, out _);
}
