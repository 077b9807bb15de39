namespace MigrationD.Protocol.Lanes.Transport;

/// <summary>A deadline passed in the stream under TLS, where a read or a write has no other way to come back without bytes.</summary>
internal sealed class WaitOverException() : Exception("the deadline has passed");
