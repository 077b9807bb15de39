namespace MigrationD.Benchmarks.Lanes;

/// <summary>What is compared.</summary>
internal enum Transport
{
    /// <summary>migrationd's page lane: gRPC, page messages and all.</summary>
    Lane,

    /// <summary>A blocking TCP socket and nothing on it but the bytes.</summary>
    Raw,
}
