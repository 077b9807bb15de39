namespace MigrationD.Daemon.Json;

/// <summary>The answer of <c>demo --json</c>; parts that the demo did not reach are left out.</summary>
internal sealed record DemoJson(string Verdict, string? Reason, DemoJson.GuestPart? Guest, DemoJson.MigrationPart? Migration)
{
    /// <summary>What the guest says.</summary>
    internal sealed record GuestPart(
        string Kind,
        ulong MemoryBytes,
        ulong WorkingSetBytes,
        uint Vcpus,
        ulong StepsBefore,
        ulong StepsAfter,
        ulong CorruptPages,
        double LargestGapMs);

    /// <summary>What the migration counted.</summary>
    internal sealed record MigrationPart(
        string State,
        double TotalMs,
        double? DowntimeMs,
        ulong BytesSent,
        ulong PagesUrgent,
        ulong PagesPush,
        ulong PagesZero,
        ulong PagesRedundant,
        ulong Moves4K,
        ulong Moves2M,
        ulong Copies,
        double BlocktimeMs,
        FaultLatencyJson FaultLatencyUs);
}
