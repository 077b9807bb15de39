namespace MigrationD.Benchmarks.Report;

/// <summary>What was to be reached and what was.</summary>
internal static class TargetTable
{
    public static Table Of(IEnumerable<Target> targets) => new(
        "",
        ["", "target", "measured", "reached"],
        [.. targets.Select(target => (string[])[target.What, target.Limit, target.Measured, target.Reached ? "yes" : "**no**"])]);
}
