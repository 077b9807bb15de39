namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>Calls on a TCP connection as it is.</summary>
public sealed class PlainLaneCallTests() : LaneCallTests(tls: null);
