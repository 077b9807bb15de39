using Grpc.AspNetCore.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// Lets streams end when their server does: a call that goes on for as long as somebody listens would hold up a daemon that stops, until it
/// is cut off without a word. Its token fires instead, and <see cref="HandlerRefusals"/> says why. Other calls may finish.
/// </summary>
internal static class EndOfStreams
{
    private static readonly object ClientGone = new();

    /// <summary>The middleware. To be used after routing.</summary>
    public static async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        if (http.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>()?.Method.Type is null or MethodType.Unary)
        {
            await next(http).ConfigureAwait(false);
            return;
        }

        CancellationToken clientGone = http.RequestAborted;
        CancellationToken stopping = http.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(clientGone, stopping);
        http.Items[ClientGone] = clientGone;
        http.RequestAborted = ended.Token;
        try
        {
            await next(http).ConfigureAwait(false);
        }
        finally
        {
            http.RequestAborted = clientGone;
        }
    }

    /// <summary>The messages of a client that may be silent for long, until the call is to end.</summary>
    public static IAsyncStreamReader<T> Until<T>(this IAsyncStreamReader<T> requests, CancellationToken cancellationToken) =>
        new Reader<T>(requests, cancellationToken);

    /// <summary>Whether it is the client that has ended the call.</summary>
    public static bool IsClientGone(HttpContext http) =>
        (http.Items.TryGetValue(ClientGone, out object? token) ? (CancellationToken)token! : http.RequestAborted).IsCancellationRequested;

    private sealed class Reader<T>(IAsyncStreamReader<T> requests, CancellationToken ended) : IAsyncStreamReader<T>
    {
        public T Current => requests.Current;

        // The library's reader looks at the token that it is given, and handlers give it none.
        public Task<bool> MoveNext(CancellationToken cancellationToken) =>
            requests.MoveNext(cancellationToken.CanBeCanceled ? cancellationToken : ended);
    }
}
