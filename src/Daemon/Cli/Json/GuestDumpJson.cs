namespace MigrationD.Daemon.Cli.Json;

/// <summary>A dump in --json.</summary>
internal sealed record GuestDumpJson(string Name, string File, ulong MemoryBytes, ulong PagesMissing);
