namespace MigrationD.Protocol.Lanes.Http2;

/// <summary>The peer broke a rule of HTTP/2 or HPACK: the connection ends with a GOAWAY of this code.</summary>
internal sealed class Http2Exception(Http2ErrorCode code, string message) : Exception(message)
{
    public Http2ErrorCode Code { get; } = code;
}
