namespace MigrationD.Protocol.Grpc;

/// <summary>What a client makes of answers that come from something that is no gRPC server, or from HTTP/2 itself.</summary>
internal static class HttpStatusMapping
{
    /// <summary>grpc/doc/http-grpc-status-mapping.md.</summary>
    public static GrpcStatusCode ToGrpc(int httpStatus) => httpStatus switch
    {
        400 => GrpcStatusCode.Internal,
        401 => GrpcStatusCode.Unauthenticated,
        403 => GrpcStatusCode.PermissionDenied,
        404 => GrpcStatusCode.Unimplemented,
        429 or 502 or 503 or 504 => GrpcStatusCode.Unavailable,
        _ => GrpcStatusCode.Unknown,
    };

    /// <summary>grpc/doc/PROTOCOL-HTTP2.md, "Errors", for an HTTP/2 error code (RFC 9113, 7), with two exceptions.</summary>
    /// <remarks>
    /// NO_ERROR and PROTOCOL_ERROR would be INTERNAL from a peer that resets a stream with them. .NET also gives the first to a call that
    /// meets a server on its way out, and the second to every call of a connection whose peer no longer answers pings. Both are far more
    /// likely, and have to be dialled again.
    /// </remarks>
    public static GrpcStatusCode FromHttp2Error(long errorCode) => errorCode switch
    {
        0x0 => GrpcStatusCode.Unavailable, // NO_ERROR
        0x1 => GrpcStatusCode.Unavailable, // PROTOCOL_ERROR
        0x7 => GrpcStatusCode.Unavailable, // REFUSED_STREAM: not processed
        0x8 => GrpcStatusCode.Cancelled, // CANCEL
        0xb => GrpcStatusCode.ResourceExhausted, // ENHANCE_YOUR_CALM
        0xc => GrpcStatusCode.PermissionDenied, // INADEQUATE_SECURITY
        _ => GrpcStatusCode.Internal,
    };
}
