namespace MigrationD.Daemon.Cli.Json;

/// <summary>A guest in --json. Sizes in bytes, times in milliseconds.</summary>
internal sealed record GuestJson(
    string Name,
    string Kind,
    string State,
    ulong MemoryBytes,
    uint Vcpus,
    ulong WorkingSetBytes,
    string Pattern,
    string Content,
    GuestReportJson Report,
    string? Failure,
    string? MigrationId);
