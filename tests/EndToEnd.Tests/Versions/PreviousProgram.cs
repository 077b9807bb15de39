using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Versions;

/// <summary>
/// The migrationd of <see cref="PreviousVersion"/>, built once from its source in a temporary folder. A class fixture: tests that use it
/// carry <see cref="Needs.PreviousVersion"/>.
/// </summary>
public sealed class PreviousProgram : IAsyncLifetime
{
    // 15 seconds on a quiet machine; on a busy one with packages still to be fetched, many times that.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(10);

    // What a dotnet test around this one sets for its own build engine and test host. All else stays: it is the machine's.
    private static readonly string[] OfTheBuildAround = ["MSBUILD", "_MSBUILD", "VSTEST", "DOTNET_HOST_PATH"];

    private readonly Scratch _scratch = new();
    private MigrationdProgram? _program;

    /// <summary>The program.</summary>
    internal MigrationdProgram Program => _program
        ?? throw new InvalidOperationException($"commit {PreviousVersion.Commit} was not built: the test does not say what it needs");

    /// <summary>Builds it, unless this machine lacks what the tests of it need.</summary>
    public async ValueTask InitializeAsync()
    {
        if (Machine.Lacks(Needs.Userfaultfd | Needs.PreviousVersion) is not null)
        {
            return;
        }

        using var deadline = new CancellationTokenSource(Deadline);
        await PreviousVersion.ExtractAsync(Directory.CreateDirectory(_scratch.PathOf("source")).FullName, deadline.Token);
        await BuildAsync(deadline.Token);
        _program = MigrationdProgram.At(_scratch.PathOf("program/migrationd"));
    }

    /// <summary>Removes it.</summary>
    public ValueTask DisposeAsync()
    {
        _scratch.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task BuildAsync(CancellationToken cancellation)
    {
        string[] build =
        [
            "build", "src/Daemon", "--configuration", "Release", "--output", _scratch.PathOf("program"),
            // No process outlives it: neither a node of the build engine nor a compiler that waits for more work.
            "--disable-build-servers", "-nodeReuse:false", "-maxCpuCount:1",
            // It says where it is from. A newer SDK may warn of more than the one of its time; that is no reason not to build it.
            $"-property:SourceRevisionId={PreviousVersion.Commit}", "-property:TreatWarningsAsErrors=false", "-property:RunAnalyzers=false",
            "-property:NuGetAudit=false",
        ];
        var start = new ProcessStartInfo("dotnet", build)
        {
            WorkingDirectory = _scratch.PathOf("source"),
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string variable in start.Environment.Keys.Where(
            key => OfTheBuildAround.Any(prefix => key.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))).ToArray())
        {
            start.Environment.Remove(variable);
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        Task<string> error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        string command = $"dotnet {string.Join(' ', build)}, of commit {PreviousVersion.Commit},";
        try
        {
            await process.WaitForExitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{command} did not end within {Deadline}. It wrote:\n{await output}{await error}");
        }

        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{command} ended with {process.ExitCode}. It wrote:\n{await output}{await error}");
        }
    }
}
