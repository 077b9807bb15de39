using System.Runtime.CompilerServices;

namespace MigrationD.TestSupport;

/// <summary>A theory that is skipped, with the reason, on a machine that lacks what it needs.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MachineTheoryAttribute : TheoryAttribute
{
    /// <summary>A theory that needs <paramref name="needs"/>.</summary>
    public MachineTheoryAttribute(Needs needs, [CallerFilePath] string? file = null, [CallerLineNumber] int line = -1)
        : base(file, line)
    {
        Needs = needs;
        Skip = Machine.Lacks(needs);
    }

    /// <summary>What the test needs.</summary>
    public Needs Needs { get; }
}
