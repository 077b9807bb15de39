using System.Diagnostics;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Commands;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Demo;

/// <summary>
/// A daemon in a process of its own, ended on disposal. It also ends when this process does, however that dies: the daemon watches its
/// standard input, whose other end only this process holds.
/// </summary>
internal sealed class DemoDaemon : IAsyncDisposable
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ReadyInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private readonly DemoLog _log = new();

    private DemoDaemon(string name, Process process, ControlClient client)
    {
        Name = name;
        _process = process;
        Client = client;
    }

    public string Name { get; }

    public ControlClient Client { get; }

    /// <summary>Starts a daemon on ports of the system's choice; it may not be ready yet.</summary>
    /// <exception cref="DemoException">The process does not start.</exception>
    public static DemoDaemon Start(string name, DemoScratch scratch)
    {
        var socket = scratch.PathOf($"{name}.sock");
        var config = scratch.PathOf($"{name}.json");

        // An empty file of its own, and no variable of the user's: what this host's real daemon is told must not reach the demo.
        File.WriteAllText(config, "{}");
        var start = ThisProgram.Start(
        [
            "serve", "--node", name, "--listen", "127.0.0.1:0", "--lanes", "127.0.0.1:0", "--control", socket, "--config", config,
            "--log-format", "text", ServeCommand.UntilInputEndsFlag,
        ]);
        foreach (var variable in start.Environment.Keys.Where(
            key => key.StartsWith("MIGRATIOND_", StringComparison.Ordinal) || key == "STATE_DIRECTORY").ToArray())
        {
            start.Environment.Remove(variable);
        }

        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new DemoException($"cannot start the daemon {name} as {start.FileName}: {error.Message}");
        }

        var daemon = new DemoDaemon(name, process, new ControlClient(socket));
        process.OutputDataReceived += (_, line) => daemon._log.Add(line.Data);
        process.ErrorDataReceived += (_, line) => daemon._log.Add(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return daemon;
    }

    /// <summary>Calls <paramref name="action"/> once when the process ends, from any thread.</summary>
    public void WhenExited(Action action) =>
        _process.WaitForExitAsync().ContinueWith(_ => action(), TaskScheduler.Default);

    /// <summary>Waits until the daemon answers.</summary>
    /// <exception cref="DemoException">It ended, or does not answer in time; the message has its log.</exception>
    public async Task<Node> ReadyAsync(CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                return await Client.GetNodeAsync(cancellationToken);
            }
            catch (CliException error) when (error.ExitCode == ExitCode.Unreachable && !_process.HasExited && clock.Elapsed < ReadyDeadline)
            {
                await Task.Delay(ReadyInterval, cancellationToken);
            }
            catch (CliException error)
            {
                throw new DemoException(await ExitAsync() ?? WithLog($"the daemon {Name} is not ready: {error.Message}"));
            }
        }
    }

    /// <summary>Says that the daemon has ended by itself, with its log; null while it runs.</summary>
    public async Task<string?> ExitAsync()
    {
        if (!_process.HasExited)
        {
            return null;
        }

        // Returns only after both streams were read to their end: the last lines are the ones that matter.
        await _process.WaitForExitAsync();
        return WithLog($"the daemon {Name} ended with exit code {_process.ExitCode}");
    }

    /// <summary>Adds the end of the daemon's log to a message.</summary>
    public string WithLog(string message)
    {
        var log = _log.ToString();
        return log.Length == 0 ? message : $"{message}\nIts last log lines:\n{log}";
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has gone already.
        }

        using var deadline = new CancellationTokenSource(StopDeadline);
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync(CancellationToken.None);
        }

        _process.Dispose();
    }
}

/// <summary>The demo cannot go on. The message says why.</summary>
internal sealed class DemoException(string message) : Exception(message);
