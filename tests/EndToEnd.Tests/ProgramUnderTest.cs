using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The migrationd that the whole suite tries, started as users start it: as a process.</summary>
/// <remarks><c>MIGRATIOND_TEST_PROGRAM</c> names an executable to try in the place of this tree's build.</remarks>
internal static class ProgramUnderTest
{
    private const string Variable = "MIGRATIOND_TEST_PROGRAM";

    // Lazy, so that a path that is wrong fails each test with the words for it and not with a broken type.
    private static readonly Lazy<MigrationdProgram> Chosen = new(() => Choose(Environment.GetEnvironmentVariable(Variable)));

    /// <summary>The one that was chosen for this run of the tests.</summary>
    public static MigrationdProgram Program => Chosen.Value;

    /// <summary>How to start it with these arguments and with its input and output in the test's hands.</summary>
    public static ProcessStartInfo Start(params IEnumerable<string> arguments) => Program.Start(arguments);

    /// <summary>The program that a value of the variable stands for; this tree's build when there is none.</summary>
    /// <exception cref="ArgumentException">It is not the absolute path of an executable.</exception>
    internal static MigrationdProgram Choose(string? path)
    {
        if (string.IsNullOrEmpty(path))
        {
            return MigrationdProgram.OfThisTree;
        }

        // Tests run in a folder of their own, where a relative path would mean another file. Some give the path to a shell.
        return Path.IsPathRooted(path) && File.Exists(path) && File.GetUnixFileMode(path).HasFlag(UnixFileMode.UserExecute)
            ? MigrationdProgram.At(path)
            : throw new ArgumentException(
                $"{Variable} is '{path}', which is not the absolute path of an executable; name one, or unset it for this tree's build");
    }
}
