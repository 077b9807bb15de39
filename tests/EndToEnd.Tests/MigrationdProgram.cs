using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A migrationd that tests can run: this tree's build, or a given file.</summary>
internal sealed class MigrationdProgram
{
    private const string Assembly = ".dll";

    private readonly string[] _command;

    private MigrationdProgram(params string[] command) => _command = command;

    /// <summary>Where it is, with all that belongs to it.</summary>
    public string Folder => Path.GetDirectoryName(_command[^1])!;

    /// <summary>Whether it is native code: it has no assembly, neither to be run by dotnet nor beside it.</summary>
    public bool IsNative => _command is [var path] && !File.Exists($"{path}{Assembly}");

    /// <summary>What this tree builds, which stands beside the tests.</summary>
    public static MigrationdProgram OfThisTree { get; } = new(Path.Combine(AppContext.BaseDirectory, "migrationd"));

    /// <summary>A given executable, or a given assembly, which is run by dotnet.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static MigrationdProgram At(string path) =>
        !File.Exists(path) ? throw new FileNotFoundException($"there is no migrationd to test at {path}", path)
        : path.EndsWith(Assembly, StringComparison.Ordinal) ? new MigrationdProgram("dotnet", path)
        : new MigrationdProgram(path);

    /// <summary>How to start it with these arguments and with its input and output in the test's hands.</summary>
    public ProcessStartInfo Start(params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(_command[0], _command.Skip(1).Concat(arguments))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // What is set on this machine for a real daemon must not reach a test.
        foreach (string variable in start.Environment.Keys.Where(
            key => key.StartsWith("MIGRATIOND_", StringComparison.Ordinal) || key.StartsWith("OTEL_", StringComparison.Ordinal)
                || key == "STATE_DIRECTORY").ToArray())
        {
            start.Environment.Remove(variable);
        }

        return start;
    }
}
