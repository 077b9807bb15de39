using System.Diagnostics;

namespace MigrationD.TestSupport;

/// <summary>
/// Scripts for Node.js in a temporary folder, with the packages that their package-lock.json names. Does nothing without Node.js, where
/// tests that carry <see cref="Needs.Node"/> are skipped.
/// </summary>
public sealed class NodeScripts : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-scripts-").FullName;

    /// <summary>A path in the folder of the scripts.</summary>
    public string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>Copies scripts and installs their packages.</summary>
    /// <param name="folder">The folder beside the tests where the scripts stand.</param>
    /// <param name="limit">How long that may take.</param>
    public async Task InstallAsync(string folder, TimeSpan limit)
    {
        if (Machine.Lacks(Needs.Node) is not null)
        {
            return;
        }

        foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, folder)))
        {
            File.Copy(file, PathOf(Path.GetFileName(file)));
        }

        // No package's own script runs: none of them is needed, and one would fetch a browser.
        string[] install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
        await RunAsync("npm", install, limit, (_, output) => output.ReadToEndAsync());
    }

    /// <summary>Runs <c>node SCRIPT ARGUMENTS</c>, and talks to it; then it has to end by itself.</summary>
    /// <typeparam name="T">What comes of talking.</typeparam>
    /// <param name="script">File name of the script.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="limit">How long all of it may take.</param>
    /// <param name="talk">Gets what the script reads and what it writes. The script's input ends when it returns, if not before.</param>
    /// <exception cref="InvalidOperationException">
    /// It failed, or was still running at the deadline. Says what it wrote to standard error.
    /// </exception>
    public Task<T> RunAsync<T>(
        string script, IEnumerable<string> arguments, TimeSpan limit, Func<StreamWriter, StreamReader, Task<T>> talk) =>
        RunAsync("node", [script, .. arguments], limit, talk);

    /// <summary>Removes the folder.</summary>
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private async Task<T> RunAsync<T>(
        string program, string[] arguments, TimeSpan limit, Func<StreamWriter, StreamReader, Task<T>> talk)
    {
        string command = $"{program} {string.Join(' ', arguments)}";
        using var deadline = new CancellationTokenSource(limit);
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(program, arguments)
            {
                WorkingDirectory = _folder,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            },
        };
        process.Start();
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        T result;
        string rest;
        try
        {
            result = await talk(process.StandardInput, process.StandardOutput).WaitAsync(deadline.Token);
            process.StandardInput.Close();
            rest = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (Exception error)
        {
            process.Kill(entireProcessTree: true);
            string reason = deadline.IsCancellationRequested
                ? $"was still running after {limit.TotalSeconds:0} s"
                : "did not do what was expected";
            throw new InvalidOperationException($"{command} {reason}. It wrote: {await errors}", error);
        }

        return process.ExitCode == 0
            ? result
            : throw new InvalidOperationException(
                $"{command} ended with exit code {process.ExitCode}. It wrote: {result}\n{rest}{await errors}");
    }
}
