using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The built migrationd, started as users start it: as a process.</summary>
internal static class ProgramUnderTest
{
    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "migrationd");

    public static ProcessStartInfo Start(params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Executable, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // What is set on this machine for a real daemon must not reach a test.
        foreach (string variable in start.Environment.Keys.Where(
            key => key.StartsWith("MIGRATIOND_", StringComparison.Ordinal) || key == "STATE_DIRECTORY").ToArray())
        {
            start.Environment.Remove(variable);
        }

        return start;
    }
}
