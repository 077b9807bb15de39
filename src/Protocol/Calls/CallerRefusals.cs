using Grpc.Core;
using Grpc.Core.Interceptors;
using MigrationD.Protocol.Wire;

namespace MigrationD.Protocol.Calls;

/// <summary>
/// Makes refusals on the caller's side: whatever ends a call but its answer leaves it as a <see cref="Refusal"/> that says which call, on
/// what, and what came back, or as the caller's own cancellation.
/// </summary>
internal sealed class CallerRefusals(string target) : Interceptor
{
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(49);

    private volatile bool _closed;

    /// <summary>Lets calls end, from now on, because the channel does.</summary>
    public void ChannelCloses() => _closed = true;

    /// <inheritdoc/>
    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        TRequest request,
        ClientInterceptorContext<TRequest, TResponse> context,
        AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        Attempt attempt = Begin(context);
        AsyncUnaryCall<TResponse> call = continuation(request, context);
        return new AsyncUnaryCall<TResponse>(
            AnswerAsync(call, attempt), call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    /// <inheritdoc/>
    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        TRequest request,
        ClientInterceptorContext<TRequest, TResponse> context,
        AsyncServerStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        Attempt attempt = Begin(context);
        AsyncServerStreamingCall<TResponse> call = continuation(request, context);
        return new AsyncServerStreamingCall<TResponse>(
            new Reader<TResponse>(call.ResponseStream, this, attempt),
            call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    private static Attempt Begin<TRequest, TResponse>(ClientInterceptorContext<TRequest, TResponse> context)
        where TRequest : class
        where TResponse : class =>
        new(context.Method.FullName, context.Options.Deadline - DateTime.UtcNow, context.Options.CancellationToken);

    private async Task<TResponse> AnswerAsync<TResponse>(AsyncUnaryCall<TResponse> call, Attempt attempt)
    {
        // The library measures by the host's clock, which may be set back; a guest that stands still may be waiting for this answer.
        Task<TResponse> answer = call.ResponseAsync;
        try
        {
            return await (attempt.Patience is { } patience && patience > TimeSpan.Zero && patience < LongestTimer
                ? answer.WaitAsync(patience)
                : answer).ConfigureAwait(false);
        }
        catch (TimeoutException late)
        {
            call.Dispose();
            _ = answer.ContinueWith(static ended => ended.Exception, TaskScheduler.Default);
            throw TimedOut(Describe(attempt), attempt.Patience!.Value, late);
        }
        catch (RpcException error)
        {
            throw Explain(error, attempt, attempt.Cancelled);
        }
    }

    private Exception Explain(RpcException error, Attempt attempt, CancellationToken cancelled)
    {
        string call = Describe(attempt);
        Status status = error.Status;
        // The side that notices first says so; a handler that gives up for a reason of its own has a sentence for it.
        if (status is { StatusCode: StatusCode.DeadlineExceeded, Detail: "" or "Deadline Exceeded" } && attempt.Patience is { } patience)
        {
            return TimedOut(call, patience, error);
        }

        if (status.DebugException is not { } cause)
        {
            return _closed && status.StatusCode == StatusCode.Cancelled ? ChannelClosed(call, error) : Said(call, status);
        }

        if (cancelled.IsCancellationRequested)
        {
            return new OperationCanceledException($"{call} was cancelled.", error, cancelled);
        }

        if (_closed)
        {
            return ChannelClosed(call, error);
        }

        for (Exception? inner = cause; inner is not null; inner = inner.InnerException)
        {
            switch (inner)
            {
                case Refusal dial:
                    return new Refusal(dial.Why, dial.Message, error);
                case HttpProtocolException http2:
                    return new Refusal(
                        HttpStatusMapping.FromHttp2Error(http2.ErrorCode),
                        $"{call}: ended by HTTP/2 error 0x{http2.ErrorCode:x}: {http2.Message}",
                        error);
            }
        }

        return cause is HttpRequestException or IOException
            ? new Refusal(Because.Unreachable, $"{call}: the connection was lost: {cause.GetBaseException().Message}", error)
            : new Refusal(Refusal.ReasonOf((long)status.StatusCode), $"{call}: {status.Detail}", error);
    }

    // The detail is what the server has said, or what the library says of an answer that is not one of gRPC, or ends too soon.
    private static Refusal Said(string call, Status status) => status.Detail switch
    {
        var none when none.StartsWith("No grpc-status found", StringComparison.Ordinal) =>
            new(Because.Failed, $"{call}: the answer ended without a grpc-status."),
        var detail => new(Refusal.ReasonOf((long)status.StatusCode), detail switch
        {
            "" => $"{call}: ended with grpc-status {(int)status.StatusCode} and no message.",
            _ when detail.StartsWith("Bad gRPC response", StringComparison.Ordinal) =>
                $"{call}: {detail} Check that a migrationd daemon listens there.",
            _ when detail.StartsWith("Received message exceeds", StringComparison.Ordinal) => $"{call}: {detail}",
            _ when status.StatusCode == StatusCode.Unimplemented =>
                $"{call}: {detail} Check that client and server are of matching versions.",
            _ => detail,
        }),
    };

    private string Describe(Attempt attempt) => $"{attempt.Method} on {target}";

    private static Refusal TimedOut(string call, TimeSpan patience, Exception error) =>
        new(Because.TimedOut, $"{call}: no answer within {patience.TotalSeconds:0.###} s.", error);

    private static Refusal ChannelClosed(string call, Exception error) =>
        new(Because.Cancelled, $"{call}: the channel was closed here before the answer came.", error);

    private readonly record struct Attempt(string Method, TimeSpan? Patience, CancellationToken Cancelled);

    private sealed class Reader<T>(IAsyncStreamReader<T> reader, CallerRefusals refusals, Attempt attempt) : IAsyncStreamReader<T>
    {
        public T Current => reader.Current;

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            try
            {
                return await reader.MoveNext(cancellationToken).ConfigureAwait(false);
            }
            catch (ObjectDisposedException error) when (refusals._closed)
            {
                throw ChannelClosed(refusals.Describe(attempt), error);
            }
            catch (RpcException error)
            {
                throw refusals.Explain(error, attempt, cancellationToken.IsCancellationRequested ? cancellationToken : attempt.Cancelled);
            }
        }
    }
}
