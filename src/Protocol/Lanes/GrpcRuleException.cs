using MigrationD.Protocol.Refusals;

namespace MigrationD.Protocol.Lanes;

/// <summary>
/// The peer's HTTP/2 is right and its gRPC or its message is not. A server says so in the call's status; the lane ends either way.
/// </summary>
internal sealed class GrpcRuleException(Because why, string message) : Exception(message)
{
    public Because Why { get; } = why;

    /// <summary>The HTTP status, when the request is not even one of gRPC.</summary>
    public int HttpStatus { get; init; } = 200;
}
