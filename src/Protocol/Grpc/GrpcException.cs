namespace MigrationD.Protocol.Grpc;

/// <summary>A call ended with another status than OK. Thrown by clients; a server's handler throws it to end its call so.</summary>
public sealed class GrpcException : Exception
{
    /// <summary>A status with the sentence that travels in <c>grpc-message</c>.</summary>
    public GrpcException(GrpcStatusCode code, string detail)
        : base(detail)
    {
        Code = code;
    }

    /// <summary>A status with its sentence and what caused it on this side.</summary>
    public GrpcException(GrpcStatusCode code, string detail, Exception cause)
        : base(detail, cause)
    {
        Code = code;
    }

    /// <summary>The status.</summary>
    public GrpcStatusCode Code { get; }
}
