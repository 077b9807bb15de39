using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.OfficialClient;

/// <summary>
/// Node.js with the official gRPC packages, installed from package-lock.json into a temporary folder. Runs the scripts that stand next to
/// this file. A class fixture: tests that use it carry <c>[MachineFact(Needs.Node)]</c>.
/// </summary>
public sealed class OfficialGrpcClient : IAsyncLifetime
{
    private static readonly TimeSpan InstallDeadline = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan RunDeadline = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("migrationd-official-client-").FullName;

    /// <summary>The folder of the .proto files, which scripts get as their first argument.</summary>
    public static string Protos => Path.Combine(AppContext.BaseDirectory, "protos");

    /// <summary>Copies the scripts and installs their packages; does nothing without Node.js, where the tests skip.</summary>
    public async Task InitializeAsync()
    {
        if (Machine.Lacks(Needs.Node) is not null)
        {
            return;
        }

        foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "OfficialClient")))
        {
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        }

        // No package's own script runs: none of them is needed to make calls.
        string[] install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
        await RunProcessAsync("npm", install, InstallDeadline, talk: null);
    }

    /// <summary>Removes the folder.</summary>
    public Task DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    /// <summary>
    /// Runs <c>node SCRIPT PROTOS</c> and talks to it until <paramref name="talk"/> returns; then it has to end by itself.
    /// </summary>
    /// <param name="script">File name of the script.</param>
    /// <param name="talk">Gets what the script reads and what it writes. The script's input ends when it returns.</param>
    /// <exception cref="InvalidOperationException">
    /// It failed, or was still running at the deadline. Says what it wrote to standard error.
    /// </exception>
    public async Task RunAsync(string script, Func<StreamWriter, StreamReader, Task> talk) =>
        await RunProcessAsync("node", [script, Protos], RunDeadline, talk);

    private async Task RunProcessAsync(string program, string[] arguments, TimeSpan limit, Func<StreamWriter, StreamReader, Task>? talk)
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
        try
        {
            if (talk is not null)
            {
                await talk(process.StandardInput, process.StandardOutput).WaitAsync(deadline.Token);
            }

            process.StandardInput.Close();
            await process.StandardOutput.ReadToEndAsync(deadline.Token);
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

        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{command} ended with exit code {process.ExitCode}. It wrote: {await errors}");
        }
    }
}
