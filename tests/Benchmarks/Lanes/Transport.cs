namespace MigrationD.Benchmarks.Lanes;

/// <summary>What is compared.</summary>
internal enum Transport
{
    /// <summary>migrationd's page lane: gRPC, page messages and all.</summary>
    Lane,

    /// <summary>The same over TLS 1.3, with certificates on both sides.</summary>
    SecureLane,

    /// <summary>A blocking TCP socket and nothing on it but the bytes.</summary>
    Raw,
}
