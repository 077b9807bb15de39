using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace MigrationD.Protocol.Grpc;

/// <summary>
/// Serves gRPC methods on ASP.NET Core's routing: calls with one request, answered by one message or a stream of them. Kestrel needs
/// <see cref="GrpcKestrel.ConfigureForGrpc(Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServerOptions)"/>.
/// </summary>
/// <remarks>
/// A handler ends its call with a status by throwing <see cref="GrpcException"/>. Any other exception is logged here, and the client sees
/// INTERNAL with an id that is also in the log. Wrong requests (content type, framing, size, protobuf) never reach a handler.
/// </remarks>
public static class GrpcEndpoints
{
    /// <summary>Serves a method that answers with one message.</summary>
    /// <param name="endpoints">Where to add the endpoint.</param>
    /// <param name="method">The method; one without <see cref="GrpcMethod{TRequest,TResponse}.ServerStreaming"/>.</param>
    /// <param name="handler">Answers one request. Runs once for each call, any number of them at a time.</param>
    /// <typeparam name="TRequest">The request's message.</typeparam>
    /// <typeparam name="TResponse">The answer's message.</typeparam>
    /// <exception cref="ArgumentException">The method is server-streaming.</exception>
    public static IEndpointConventionBuilder MapUnary<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints,
        GrpcMethod<TRequest, TResponse> method,
        Func<TRequest, GrpcCallContext, Task<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(handler);
        if (method.ServerStreaming)
        {
            throw new ArgumentException($"{method.Path} answers with a stream; map it with {nameof(MapServerStreaming)}.", nameof(method));
        }

        return Map(endpoints, method, AnswerAsync, CancellationToken.None);

        async Task AnswerAsync(TRequest request, GrpcCallContext context, HttpResponse response)
        {
            TResponse answer = await handler(request, context).ConfigureAwait(false)
                ?? throw new InvalidOperationException($"The handler of {method.Path} returned null.");

            // After its deadline a call ends with DEADLINE_EXCEEDED alone, so the answer must not be on its way already.
            context.CancellationToken.ThrowIfCancellationRequested();
            MessageFrame.Write(response.BodyWriter, answer);
        }
    }

    /// <summary>Serves a method that answers with a stream of messages. Each is sent at once.</summary>
    /// <param name="endpoints">Where to add the endpoint.</param>
    /// <param name="method">The method; one with <see cref="GrpcMethod{TRequest,TResponse}.ServerStreaming"/>.</param>
    /// <param name="handler">
    /// Answers one request. The enumeration is disposed when the call ends, and is not asked for more once nobody listens; a handler
    /// that waits for something must wait with the context's token.
    /// </param>
    /// <typeparam name="TRequest">The request's message.</typeparam>
    /// <typeparam name="TResponse">Each answer's message.</typeparam>
    /// <exception cref="ArgumentException">The method is not server-streaming.</exception>
    public static IEndpointConventionBuilder MapServerStreaming<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints,
        GrpcMethod<TRequest, TResponse> method,
        Func<TRequest, GrpcCallContext, IAsyncEnumerable<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(handler);
        if (!method.ServerStreaming)
        {
            throw new ArgumentException($"{method.Path} answers with one message; map it with {nameof(MapUnary)}.", nameof(method));
        }

        CancellationToken stopping = endpoints.ServiceProvider.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? default;
        return Map(endpoints, method, AnswerAsync, stopping);

        async Task AnswerAsync(TRequest request, GrpcCallContext context, HttpResponse response)
        {
            CancellationToken ended = context.CancellationToken;
            await foreach (TResponse answer in handler(request, context).WithCancellation(ended).ConfigureAwait(false))
            {
                ended.ThrowIfCancellationRequested();
                MessageFrame.Write(response.BodyWriter, answer);
                await response.BodyWriter.FlushAsync(ended).ConfigureAwait(false);
            }

            ended.ThrowIfCancellationRequested();
        }
    }

    /// <summary>
    /// Answers calls of methods that are not mapped with UNIMPLEMENTED, and anything that is no gRPC call with HTTP 404. Map it once.
    /// </summary>
    /// <param name="endpoints">Where to add the endpoint.</param>
    public static IEndpointConventionBuilder MapGrpcFallback(this IEndpointRouteBuilder endpoints)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        return endpoints.MapFallback("{**path}", static http =>
        {
            if (!HttpMethods.IsPost(http.Request.Method) || !GrpcProtocol.IsGrpc(http.Request.ContentType))
            {
                http.Response.StatusCode = StatusCodes.Status404NotFound;
                return Task.CompletedTask;
            }

            http.Response.ContentType = GrpcProtocol.ContentType;
            GrpcTrailers.Write(
                http.Response,
                new GrpcStatus(
                    GrpcStatusCode.Unimplemented,
                    $"This server has no method {http.Request.Path}; check that client and server are of matching versions."));
            return Task.CompletedTask;
        });
    }

    private static IEndpointConventionBuilder Map<TRequest, TResponse>(
        IEndpointRouteBuilder endpoints,
        GrpcMethod<TRequest, TResponse> method,
        Func<TRequest, GrpcCallContext, HttpResponse, Task> answer,
        CancellationToken stopping)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        IServiceProvider services = endpoints.ServiceProvider;
        var call = new GrpcServerCall<TRequest, TResponse>(
            method,
            answer,
            services.GetRequiredService<IOptions<GrpcServerOptions>>().Value.MaxReceiveMessageBytes,
            stopping,
            services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(GrpcEndpoints)));

        return endpoints.MapPost(method.Path, call.InvokeAsync).WithDisplayName($"gRPC {method.Path}");
    }
}
