using System.Globalization;

namespace MigrationD.Protocol.Wire;

/// <summary>The words of gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md) that both ends of a call use.</summary>
internal static class GrpcProtocol
{
    public const string ContentType = "application/grpc";
    public const string StatusHeader = "grpc-status";
    public const string MessageHeader = "grpc-message";
    public const string Trailers = "trailers";

    /// <summary>
    /// The longest grpc-message sent, in bytes once encoded. gRPC's peers promise to take 8 KiB of metadata in all; half of that leaves
    /// room for the rest.
    /// </summary>
    public const int MaxStatusMessageBytes = 4 * 1024;

    /// <summary>Whether a content type is gRPC with protobuf messages: <c>application/grpc</c> or <c>application/grpc+proto</c>.</summary>
    public static bool IsGrpc(string? contentType) =>
        contentType?.Split(';')[0].Trim().ToLowerInvariant() is ContentType or (ContentType + "+proto");

    /// <summary>What a <c>grpc-status</c> value says: null for OK, and UNKNOWN for a value that is no status.</summary>
    public static Because? ParseStatus(string value) =>
        !int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int code) ? Because.Unknown
        : code == 0 ? null
        : Refusal.ReasonOf(code);
}
