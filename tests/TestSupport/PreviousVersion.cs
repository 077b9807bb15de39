using System.Diagnostics;
using System.Formats.Tar;

namespace MigrationD.TestSupport;

/// <summary>
/// The version before this tree's, out of the history of the repository that the tests were built in. Hosts are upgraded one after the
/// other, so daemons and commands of both have to understand each other.
/// </summary>
public static class PreviousVersion
{
    /// <summary>
    /// The last commit before control calls moved to Grpc.AspNetCore and Grpc.Net.Client: the last version that has another server and another
    /// client of them. This is protocol N-1, which has to go on working with this tree.
    /// </summary>
    public const string Commit = "cb7dc607e962bb795045ea8f40a008371eadf2a7";

    private static readonly Lazy<string?> Lacking = new(FindLacking);

    /// <summary>Why its source is not to be had here, or null when it is.</summary>
    internal static string? Lacks() => Lacking.Value;

    /// <summary>Writes its source, as it was committed, into a folder.</summary>
    /// <exception cref="InvalidOperationException">git failed; says what git wrote.</exception>
    public static async Task ExtractAsync(string folder, CancellationToken cancellation)
    {
        // In a folder below the top, git would archive that folder alone.
        string top = Git("rev-parse", "--show-toplevel").Succeeds().Output.Trim();
        using Process archive = Process.Start(Start("-C", top, "archive", "--format=tar", Commit))!;
        Task<string> error = archive.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await TarFile.ExtractToDirectoryAsync(archive.StandardOutput.BaseStream, folder, overwriteFiles: false, cancellation);
            await archive.WaitForExitAsync(cancellation);
        }
        catch (Exception failure)
        {
            archive.Kill();
            throw new InvalidOperationException($"git archive {Commit} in {top} did not come to an end: {(await error).Trim()}", failure);
        }

        if (archive.ExitCode != 0)
        {
            throw new InvalidOperationException($"git archive {Commit} in {top} ended with {archive.ExitCode}: {(await error).Trim()}");
        }
    }

    private static string? FindLacking()
    {
        GitResult result = Git("cat-file", "-e", $"{Commit}^{{commit}}");
        return result.ExitCode == 0
            ? null
            : $"needs the repository with its history, for commit {Commit}; a source archive has none, "
                + $"and 'git fetch --unshallow' completes that of a shallow clone: {result.Error.Trim()}";
    }

    private static GitResult Git(params string[] arguments)
    {
        using Process process = Process.Start(Start(["-C", AppContext.BaseDirectory, .. arguments]))!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new GitResult(string.Join(' ', arguments), process.ExitCode, output, error.GetAwaiter().GetResult());
    }

    private static ProcessStartInfo Start(params string[] arguments)
    {
        var start = new ProcessStartInfo("git", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        // A hook of git that runs the tests has these, and they may mean another repository.
        foreach (string variable in start.Environment.Keys.Where(key => key.StartsWith("GIT_", StringComparison.Ordinal)).ToArray())
        {
            start.Environment.Remove(variable);
        }

        return start;
    }

    private sealed record GitResult(string Command, int ExitCode, string Output, string Error)
    {
        public GitResult Succeeds() => ExitCode == 0
            ? this
            : throw new InvalidOperationException($"git {Command} ended with {ExitCode}: {Error.Trim()}");
    }
}
