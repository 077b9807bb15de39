using Grpc.Core;
using Grpc.Core.Interceptors;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Wire;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// Makes refusals on the server's side: a <see cref="Refusal"/> of a handler becomes the call's status, and so does everything else that
/// the handler may throw; what was not foreseen is logged under an id that the client is told.
/// </summary>
internal sealed partial class HandlerRefusals(IHostApplicationLifetime lifetime, ILogger<HandlerRefusals> logger) : Interceptor
{
    /// <inheritdoc/>
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        Task<TResponse>? answer = null;
        await EndAsync(context, () => answer = continuation(request, context)).ConfigureAwait(false);
        return await answer!.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        EndAsync(context, () => continuation(request, responseStream, context));

    /// <inheritdoc/>
    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream,
        IServerStreamWriter<TResponse> responseStream,
        ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        EndAsync(context, () => continuation(requestStream.Until(context.CancellationToken), responseStream, context));

    private async Task EndAsync(ServerCallContext context, Func<Task> handler)
    {
        try
        {
            await handler().ConfigureAwait(false);
        }
        catch (Exception error)
        {
            throw StatusOf(error, context);
        }
    }

    private RpcException StatusOf(Exception error, ServerCallContext context)
    {
        switch (error)
        {
            case Refusal refusal:
                return Ended((StatusCode)refusal.Why, refusal.Message);
            case RpcException said:
                return Ended(said.StatusCode, said.Status.Detail);
            case not null when EndOfStreams.IsClientGone(context.GetHttpContext()):
                return Ended(StatusCode.Cancelled, $"{context.Method}: the client cancelled or is gone.");
            case OperationCanceledException when context.Deadline <= DateTime.UtcNow:
                return Ended(StatusCode.DeadlineExceeded, $"{context.Method}: the deadline passed before the answer was ready.");
            case OperationCanceledException or IOException when lifetime.ApplicationStopping.IsCancellationRequested:
                return Ended(StatusCode.Unavailable, $"{context.Method}: the server is shutting down; call again once it is back.");
            default:
                string id = context.GetHttpContext().TraceIdentifier;
                HandlerFailed(logger, error, context.Method, context.Peer, id);
                return Ended(
                    StatusCode.Internal,
                    $"{context.Method} failed on the server in a way it did not foresee; its log has the cause under id {id}.");
        }
    }

    // A text that is too long for the headers would end the call as if the connection were lost.
    private static RpcException Ended(StatusCode code, string detail) =>
        new(new Status(code, GrpcStatusMessage.Shorten(detail, GrpcProtocol.MaxStatusMessageBytes)));

    [LoggerMessage(1, LogLevel.Error, "{Path} from {Peer}: the handler failed; the client was told INTERNAL and the id {TraceId}.")]
    private static partial void HandlerFailed(ILogger logger, Exception? error, string path, string peer, string traceId);
}
