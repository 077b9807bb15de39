namespace MigrationD.EndToEnd.Tests.Chaos;

/// <summary>
/// One run of the chaos test: everything about it follows from its seed. Times are milliseconds; <paramref name="SwitchAfter"/> is when an
/// operator ends precopy.
/// </summary>
internal sealed record ChaosPlan(
    int Seed, string Kind, int MemoryMiB, int WorkingSetMiB, int Vcpus, string Pattern, string Placement, string Mode, int? SwitchAfter, int Lanes,
    string? Rate, string? Fault, IReadOnlyList<Disturbance> Disturbances)
{
    // Short of the recovery timeout that the daemons are given, so that most links come back by themselves.
    private const int LongestDisturbance = 2800;

    private static readonly string[] Steps =
    [
        "source.prepare", "source.lanes", "source.precopy", "source.forget", "source.pause", "source.state", "source.run-before",
        "source.run-after", "source.stream", "source.recover", "source.recover-lanes", "source.complete",
        "destination.prepared", "destination.forget", "destination.loading", "destination.loaded", "destination.running",
        "destination.first-page", "destination.recover", "destination.complete",
    ];

    /// <summary>The plan of a seed.</summary>
    public static ChaosPlan Of(int seed)
    {
        var random = new Random(seed);
        int memory = Pick(random, 16, 32, 64);
        int workingSet = memory / 2 + (random.Next(memory / 4 + 1) / 2 * 2);
        string? rate = Pick<string?>(random, null, "100mbit", "300mbit", "1gbit");
        int expected = rate switch { "100mbit" => workingSet * 84, "300mbit" => workingSet * 28, "1gbit" => workingSet * 8, _ => 60 };
        string? fault = random.Next(4) == 0 ? $"{Pick(random, Steps)}:{Action(random)}" : null;
        var disturbances = new List<Disturbance>();
        bool mustBreak = fault is not null && fault.Contains(".recover:", StringComparison.Ordinal);
        int count = fault is null ? 1 + random.Next(2) : mustBreak ? 1 : random.Next(2);
        for (int i = 0; i < count; i++)
        {
            // The switchover takes milliseconds and the pages the rest: both get their share.
            int after = random.Next(2) == 0 ? random.Next(40) : random.Next(expected);
            DisturbanceKind kind = mustBreak ? DisturbanceKind.Reset : Kinds(random);
            disturbances.Add(new Disturbance(
                kind, TimeSpan.FromMilliseconds(after), TimeSpan.FromMilliseconds(30 + random.Next(random.Next(2) == 0 ? 200 : LongestDisturbance))));
        }

        string mode = Pick(random, "postcopy", "hybrid", "hybrid", "precopy");
        // An operator who does not wait until precopy ends by itself.
        int? switchAfter = mode == "hybrid" && random.Next(2) == 0 ? random.Next(expected) : null;
        return new ChaosPlan(
            seed, Pick(random, "kvm", "workload"), memory, workingSet, 1 + random.Next(2), Pick(random, "uniform", "sequential", "zipf"),
            Pick(random, "move", "copy"), mode, switchAfter, Pick(random, 1, 1, 2, 3), rate, fault, disturbances);
    }

    public override string ToString() =>
        $"seed {Seed}: {Kind} guest of {MemoryMiB} MiB, {WorkingSetMiB} in use {Pattern} by {Vcpus} vCPUs, placement {Placement}, "
        + $"mode {Mode}{(SwitchAfter is { } ms ? $" until {ms} ms" : "")}, {Lanes} push lanes, link {Rate ?? "unlimited"}, "
        + $"fault {Fault ?? "none"}, {(Disturbances.Count == 0 ? "not disturbed" : string.Join("; ", Disturbances))}";

    private static DisturbanceKind Kinds(Random random) => random.Next(20) switch
    {
        < 4 => DisturbanceKind.LinkDown,
        < 8 => DisturbanceKind.SilentDrop,
        < 12 => DisturbanceKind.Reset,
        < 14 => DisturbanceKind.StopSource,
        < 16 => DisturbanceKind.StopDestination,
        < 18 => DisturbanceKind.KillSource,
        _ => DisturbanceKind.KillDestination,
    };

    private static string Action(Random random) => random.Next(4) switch
    {
        0 => "kill",
        1 => "stop",
        2 => "throw",
        _ => $"delay:{random.Next(LongestDisturbance)}",
    };

    private static T Pick<T>(Random random, params T[] from) => from[random.Next(from.Length)];
}
