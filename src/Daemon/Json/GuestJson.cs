namespace MigrationD.Daemon.Json;

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

/// <summary>What a guest counted itself, in --json.</summary>
internal sealed record GuestReportJson(ulong Steps, ulong Sweeps, ulong CorruptPages, double LargestGapMs);

/// <summary>A part of a guest's console: bytes, or where it is read from now on, or why it pauses or ends.</summary>
internal sealed record GuestConsoleJson(ulong Offset, string? Base64, GuestConsoleJson.Move? Moved, string? Notice)
{
    /// <summary>The daemon that the guest went to, and the migration.</summary>
    public sealed record Move(string To, string MigrationId);
}

/// <summary>The answer of <c>guest delete --json</c>.</summary>
internal sealed record GuestDeletedJson(string Name, bool Deleted);

/// <summary>The answer of <c>guest dump --json</c>. <paramref name="MissingFile"/> is there when pages are missing.</summary>
internal sealed record GuestDumpJson(
    string Name, string File, ulong MemoryBytes, ulong PagesPresent, ulong PagesMissing, string? MissingFile);

/// <summary>The answer of <c>guest hash --json</c>.</summary>
internal sealed record GuestHashJson(string Name, string Sha256);
