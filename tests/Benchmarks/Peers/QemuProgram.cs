using System.Diagnostics;
using MigrationD.Benchmarks.Report;

namespace MigrationD.Benchmarks.Peers;

/// <summary>A qemu-system-x86_64 that can be run here.</summary>
/// <param name="Path">The program.</param>
/// <param name="Version">What it calls itself: "QEMU 10.0.13".</param>
internal sealed record QemuProgram(string Path, string Version)
{
    /// <summary>The variable that names programs, separated by ':', when the command line names none.</summary>
    public const string Variable = "MIGRATIOND_QEMU";

    private const string Name = "qemu-system-x86_64";
    private const string VersionPrefix = "QEMU emulator version ";
    private static readonly TimeSpan VersionDeadline = TimeSpan.FromSeconds(20);

    /// <summary>
    /// The programs to compare with: those named, else those of the variable, else the one in PATH; none when there is none.
    /// </summary>
    /// <exception cref="BenchmarkException">One that was named is no QEMU.</exception>
    public static IReadOnlyList<QemuProgram> Find(IReadOnlyList<string> named)
    {
        string[] separated = Split(Environment.GetEnvironmentVariable(Variable));
        IEnumerable<string> paths = named.Count > 0 ? named
            : separated.Length > 0 ? separated
            : Split(Environment.GetEnvironmentVariable("PATH"))
                .Select(folder => System.IO.Path.Combine(folder, Name)).Where(File.Exists).Take(1);
        return [.. paths.Select(Ask)];

        static string[] Split(string? list) => list?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [];
    }

    private static QemuProgram Ask(string path)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(path, ["--version"]) { RedirectStandardOutput = true })!;
            using var deadline = new CancellationTokenSource(VersionDeadline);
            string? line = process.StandardOutput.ReadLineAsync(deadline.Token).AsTask().GetAwaiter().GetResult();
            process.Kill(entireProcessTree: true);
            return line is not null && line.StartsWith(VersionPrefix, StringComparison.Ordinal)
                ? new QemuProgram(path, $"QEMU {line[VersionPrefix.Length..].Split(' ')[0]}")
                : throw new BenchmarkException($"{path} is no {Name}: asked for its version it says '{line}'.");
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new BenchmarkException($"Cannot run {path}: {error.Message}. Name a {Name} with --qemu or {Variable}.");
        }
        catch (OperationCanceledException)
        {
            throw new BenchmarkException($"{path} did not say its version within {VersionDeadline.TotalSeconds:0} s.");
        }
    }
}
