using System.Diagnostics;
using System.Text.Json.Nodes;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>
/// Node.js with the packages that read what a daemon serves, installed from package-lock.json into a temporary folder. Runs the scripts
/// that stand next to this file. A class fixture: tests that use it carry <see cref="Needs.Node"/>.
/// </summary>
public sealed class ReaderScripts : IAsyncLifetime
{
    private static readonly TimeSpan InstallDeadline = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan RunDeadline = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-readers-").FullName;

    /// <summary>Copies the scripts and installs their packages; does nothing without Node.js, where the tests skip.</summary>
    public async Task InitializeAsync()
    {
        if (Machine.Lacks(Needs.Node) is not null)
        {
            return;
        }

        foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "Readers")))
        {
            File.Copy(file, PathOf(Path.GetFileName(file)));
        }

        // No package's own script runs: one of them would fetch a browser.
        string[] install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
        await RunProcessAsync("npm", install, "", InstallDeadline);
    }

    /// <summary>Removes the folder.</summary>
    public Task DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    /// <summary>A path in the folder of the scripts.</summary>
    public string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>Runs a script with <paramref name="input"/> as its input; what it writes is JSON.</summary>
    /// <exception cref="InvalidOperationException">It failed, or was still running at the deadline; says what it wrote.</exception>
    public async Task<JsonNode> RunAsync(string script, string input, params string[] arguments) =>
        JsonNode.Parse(await RunProcessAsync("node", [script, .. arguments], input, RunDeadline))!;

    private async Task<string> RunProcessAsync(string program, string[] arguments, string input, TimeSpan limit)
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
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.StandardInput.WriteAsync(input.AsMemory(), deadline.Token);
            process.StandardInput.Close();
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException(
                $"{command} did not end within {limit}, or did not read its input. It wrote: {await errors}", error);
        }

        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException(
                $"{command} ended with exit code {process.ExitCode}. It wrote: {await output}\n{await errors}");
    }
}
