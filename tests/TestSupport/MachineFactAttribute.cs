using System.Runtime.CompilerServices;

namespace MigrationD.TestSupport;

/// <summary>A fact that is skipped, with the reason, on a machine that lacks what it needs.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MachineFactAttribute : FactAttribute
{
    /// <summary>A fact that needs <paramref name="needs"/>.</summary>
    public MachineFactAttribute(Needs needs, [CallerFilePath] string? file = null, [CallerLineNumber] int line = -1)
        : base(file, line)
    {
        Needs = needs;
        Skip = Machine.Lacks(needs);
    }

    /// <summary>What the test needs.</summary>
    public Needs Needs { get; }
}
