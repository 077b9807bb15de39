using Grpc.Core;
using Grpc.Core.Interceptors;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;

namespace MigrationD.TestSupport;

/// <summary>The generated clients as tests use them: a call that says nothing of a deadline has one, so that what hangs is a failed test.</summary>
public static class TestClients
{
    private static readonly TimeSpan Hung = TimeSpan.FromSeconds(60);

    /// <summary>Calls the service for operators.</summary>
    public static Control.ControlClient Control(this CallChannel channel) => new(channel.Invoker.Intercept(new Patience()));

    /// <summary>Calls the service for other daemons.</summary>
    public static Transport.TransportClient Transport(this CallChannel channel) => new(channel.Invoker.Intercept(new Patience()));

    private sealed class Patience : Interceptor
    {
        public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
            TRequest request,
            ClientInterceptorContext<TRequest, TResponse> context,
            AsyncUnaryCallContinuation<TRequest, TResponse> continuation) => continuation(
                request,
                context.Options.Deadline is not null
                    ? context
                    : new(context.Method, context.Host, context.Options.WithDeadline(DateTime.UtcNow + Hung)));
    }
}
