using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>migrationd as native code, which is what is shipped; made of this tree by deploy/native.sh, once.</summary>
internal static class NativeProgram
{
    private const string Script = "deploy/native.sh";

    // A minute on a quiet machine; on a busy one with packages still to be fetched, many times that.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(15);

    private static readonly Lazy<Task<MigrationdProgram>> Made = new(MakeAsync);

    /// <summary>The program.</summary>
    /// <exception cref="InvalidOperationException">It cannot be made here; says what the script said.</exception>
    public static Task<MigrationdProgram> GetAsync() => Made.Value;

    private static async Task<MigrationdProgram> MakeAsync()
    {
        string tree = WorkingTree.Above(AppContext.BaseDirectory) ?? throw new InvalidOperationException(
            $"there is no {WorkingTree.Mark} above {AppContext.BaseDirectory}, so {Script} is not to be found");
        string script = Path.Combine(tree, Script);
        var start = new ProcessStartInfo(script) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"{script} did not end within {Deadline}: {await error}");
        }

        return process.ExitCode == 0
            ? MigrationdProgram.At((await output).Trim())
            : throw new InvalidOperationException($"{script} ended with {process.ExitCode}: {await error}");
    }
}
