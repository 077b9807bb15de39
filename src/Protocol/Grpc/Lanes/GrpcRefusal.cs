namespace MigrationD.Protocol.Grpc.Lanes;

/// <summary>
/// The peer's HTTP/2 is right and its gRPC or its message is not. A server says so in the call's status; the lane ends either way.
/// </summary>
internal sealed class GrpcRefusal(GrpcStatusCode status, string message) : Exception(message)
{
    public GrpcStatusCode Status { get; } = status;

    /// <summary>The HTTP status, when the request is not even one of gRPC.</summary>
    public int HttpStatus { get; init; } = 200;
}
