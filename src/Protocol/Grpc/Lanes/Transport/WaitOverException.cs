namespace MigrationD.Protocol.Grpc.Lanes.Transport;

/// <summary>A deadline passed inside a read or a write of the stream under TLS, which has no other way to come back without bytes.</summary>
internal sealed class WaitOverException() : Exception("the deadline has passed");
