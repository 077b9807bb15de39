using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>How to start this program once more: as its executable, or by the <c>dotnet</c> that runs it.</summary>
internal static class ThisProgram
{
    /// <summary>Whether it is the native program, which is what is shipped, and not one that is compiled while it runs.</summary>
    public static bool IsNative => !RuntimeFeature.IsDynamicCodeCompiled;

    /// <summary>A process that runs this program with these arguments.</summary>
    public static ProcessStartInfo Start(IEnumerable<string> arguments) => Start(
        Environment.ProcessPath ?? "migrationd",
        // By its name, as a native program has no assembly to ask for its place.
        Path.Combine(AppContext.BaseDirectory, $"{typeof(ThisProgram).Assembly.GetName().Name}.dll"),
        arguments);

    internal static ProcessStartInfo Start(string processPath, string assembly, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(processPath);
        if (Path.GetFileNameWithoutExtension(processPath) == "dotnet")
        {
            start.ArgumentList.Add(assembly);
        }

        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return start;
    }
}
