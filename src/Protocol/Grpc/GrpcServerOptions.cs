namespace MigrationD.Protocol.Grpc;

/// <summary>
/// What the endpoints of <see cref="GrpcEndpoints"/> enforce. Set with <c>services.Configure&lt;GrpcServerOptions&gt;(...)</c>.
/// </summary>
public sealed class GrpcServerOptions
{
    /// <summary>
    /// The largest request message accepted, in bytes, without its five bytes of framing; 4 MiB unless set, as everywhere in gRPC. A
    /// larger one ends its call with RESOURCE_EXHAUSTED as soon as its length is known, before its bytes are taken.
    /// </summary>
    public int MaxReceiveMessageBytes { get; set; } = GrpcProtocol.DefaultMaxMessageBytes;
}
