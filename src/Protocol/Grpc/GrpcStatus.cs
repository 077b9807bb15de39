namespace MigrationD.Protocol.Grpc;

/// <summary>How a call ended.</summary>
internal readonly record struct GrpcStatus(GrpcStatusCode Code, string Detail)
{
    public static GrpcStatus Ok { get; } = new(GrpcStatusCode.Ok, "");
}
