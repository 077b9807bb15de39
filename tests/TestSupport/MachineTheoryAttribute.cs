namespace MigrationD.TestSupport;

/// <summary>A theory that is skipped, with the reason, on a machine that lacks what it needs.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MachineTheoryAttribute : TheoryAttribute
{
    /// <summary>A theory that needs <paramref name="needs"/>.</summary>
    public MachineTheoryAttribute(Needs needs)
    {
        Needs = needs;
        Skip = Machine.Lacks(needs);
    }

    /// <summary>What the test needs.</summary>
    public Needs Needs { get; }
}
