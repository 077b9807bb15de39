using System.Text.Json.Nodes;

namespace MigrationD.Daemon.Json;

/// <summary>The answer of <c>demo --json</c>; parts that the demo did not reach are left out.</summary>
internal sealed record DemoJson(string Verdict, string? Reason, DemoJson.GuestPart? Guest, JsonObject? Migration)
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
}
