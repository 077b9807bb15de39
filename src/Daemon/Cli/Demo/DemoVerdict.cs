using MigrationD.Protocol.V1;
using static System.FormattableString;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>Whether what the demo saw is a good migration.</summary>
internal static class DemoVerdict
{
    /// <summary>
    /// How often the guest has to go over its working set on the destination. Sweeps are counted whole, so the one under way on arrival
    /// may have begun on the source: only the second is certain to have read every page there.
    /// </summary>
    public const ulong SweepsOnDestination = 2;

    private const ulong PageBytes = 4096;

    /// <summary>Lists everything that speaks against the migration; empty when the verdict is ok.</summary>
    public static IReadOnlyList<string> Problems(DemoEvidence evidence)
    {
        if (evidence.Failure is not null)
        {
            return [evidence.Failure];
        }

        if (evidence is not { Spec: { } spec, Before: { } before, Arrived: { } arrived, Migration: { } migration }
            || evidence is not { AtSource: { } atSource, AtDestination: { } atDestination })
        {
            return ["the demo ended before it had seen everything"];
        }

        var after = atDestination.Report ?? new GuestReport();
        var problems = new List<string>();
        Expect(migration.State == MigrationState.Completed, $"the migration is {Words.Of(migration.State)} {migration.Reason}".TrimEnd());
        Expect(atSource.State == GuestState.Migrated, $"on the source the guest is {Words.Of(atSource.State)}, not migrated");
        Expect(atDestination.State == GuestState.Running,
            $"on the destination the guest is {Words.Of(atDestination.State)}, not running {atDestination.Failure}".TrimEnd());
        Expect(after.CorruptPages == 0, Invariant($"the guest found {after.CorruptPages:N0} corrupt pages"));
        Expect(after.Steps > arrived.Steps && after.Steps > before.Steps,
            Invariant($"the guest made no step on the destination ({before.Steps:N0} before, {after.Steps:N0} at the end)"));
        Expect(after.Sweeps >= arrived.Sweeps + SweepsOnDestination,
            Invariant($"the guest has not gone over all of its pages on the destination ({arrived.Sweeps} sweeps, then {after.Sweeps})"));

        var placement = migration.Placement ?? new PlacementCounters();
        var placed = placement.PagesUrgent + placement.PagesPush + placement.PagesZero - placement.PagesForgotten;
        var pages = spec.MemoryBytes / PageBytes;
        Expect(migration.PagesTotal == pages, Invariant($"the migration counts {migration.PagesTotal:N0} pages, the guest has {pages:N0}"));
        Expect(placed == migration.PagesTotal,
            Invariant($"{placed:N0} of {migration.PagesTotal:N0} pages are accounted for as urgent, push or zero"));
        return problems;

        void Expect(bool holds, string otherwise)
        {
            if (!holds)
            {
                problems.Add(otherwise);
            }
        }
    }
}
