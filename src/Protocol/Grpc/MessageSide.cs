namespace MigrationD.Protocol.Grpc;

/// <summary>
/// Whose message is read, which decides the status that a bad one ends its call with (grpc/doc/statuscodes.md): the server tells a client
/// what is wrong with its request, a client can only say that the server is broken.
/// </summary>
internal sealed class MessageSide
{
    public static readonly MessageSide Request = new("request", GrpcStatusCode.InvalidArgument, GrpcStatusCode.Unimplemented);

    public static readonly MessageSide Response = new("response", GrpcStatusCode.Internal, GrpcStatusCode.Internal);

    private MessageSide(string noun, GrpcStatusCode malformed, GrpcStatusCode compressed)
    {
        Noun = noun;
        Malformed = malformed;
        Compressed = compressed;
    }

    /// <summary>What an error calls it.</summary>
    public string Noun { get; }

    /// <summary>The status for framing or protobuf that cannot be read.</summary>
    public GrpcStatusCode Malformed { get; }

    /// <summary>The status for a compressed message.</summary>
    public GrpcStatusCode Compressed { get; }
}
