namespace MigrationD.Daemon.Cli.Json;

/// <summary>What packing pages has come to; null in a migration whose pages go over as they are, and on its destination.</summary>
internal sealed record CompressionJson(string Format, ulong PagesPacked, ulong BytesSaved);
