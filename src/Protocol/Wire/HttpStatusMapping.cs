namespace MigrationD.Protocol.Wire;

/// <summary>The refusals that a client makes of answers by something that is no gRPC server, or by HTTP/2 itself.</summary>
internal static class HttpStatusMapping
{
    /// <summary>Maps an HTTP status (grpc/doc/http-grpc-status-mapping.md).</summary>
    public static Because ToGrpc(int httpStatus) => httpStatus switch
    {
        400 => Because.Failed,
        401 => Because.Untrusted,
        403 => Because.Forbidden,
        404 => Because.NotSupported,
        429 or 502 or 503 or 504 => Because.Unreachable,
        _ => Because.Unknown,
    };

    /// <summary>Maps an HTTP/2 error code (RFC 9113, 7) as grpc/doc/PROTOCOL-HTTP2.md, "Errors" does, with two exceptions.</summary>
    /// <remarks>
    /// NO_ERROR and PROTOCOL_ERROR would be INTERNAL from a peer that resets a stream with them. .NET also gives the first to a call that
    /// meets a server on its way out, and the second to every call of a connection whose peer no longer answers pings. Both are far more
    /// likely, and have to be dialled again.
    /// </remarks>
    public static Because FromHttp2Error(long errorCode) => errorCode switch
    {
        0x0 => Because.Unreachable, // NO_ERROR
        0x1 => Because.Unreachable, // PROTOCOL_ERROR
        0x7 => Because.Unreachable, // REFUSED_STREAM: not processed
        0x8 => Because.Cancelled, // CANCEL
        0xb => Because.Busy, // ENHANCE_YOUR_CALM
        0xc => Because.Forbidden, // INADEQUATE_SECURITY
        _ => Because.Failed,
    };
}
