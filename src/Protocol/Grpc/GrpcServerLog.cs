using System.Net;
using Microsoft.Extensions.Logging;

namespace MigrationD.Protocol.Grpc;

/// <summary>What the server's side of calls logs.</summary>
internal static partial class GrpcServerLog
{
    [LoggerMessage(1, LogLevel.Error, "{Path} from {Peer}: the handler failed; the client was told INTERNAL and the id {TraceId}.")]
    public static partial void HandlerFailed(this ILogger logger, Exception error, string path, IPEndPoint? peer, string traceId);

    [LoggerMessage(2, LogLevel.Debug, "{Path} from {Peer} ended with {Code}: {Detail}")]
    public static partial void CallEnded(this ILogger logger, string path, IPEndPoint? peer, GrpcStatusCode code, string detail);

    [LoggerMessage(3, LogLevel.Debug, "{Path} from {Peer}: the client is gone before its answer.")]
    public static partial void ClientGone(this ILogger logger, string path, IPEndPoint? peer);

    [LoggerMessage(4, LogLevel.Debug, "{Path} from {Peer} is no gRPC call: {Reason}; answered with HTTP {HttpStatus}.")]
    public static partial void NotGrpc(this ILogger logger, string path, IPEndPoint? peer, string reason, int httpStatus);
}
