namespace MigrationD.Daemon.Cli.Json;

/// <summary>The answer of <c>guest dump --json</c>. <paramref name="MissingFile"/> is there when pages are missing.</summary>
internal sealed record GuestDumpJson(
    string Name, string File, ulong MemoryBytes, ulong PagesPresent, ulong PagesMissing, string? MissingFile);
