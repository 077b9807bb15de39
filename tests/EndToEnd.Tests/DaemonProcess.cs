using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A daemon in a process of its own, on ports of the system's choice. It ends with the test, however that ends.</summary>
internal sealed class DaemonProcess : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    private readonly Scratch _scratch;
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _log = new();

    private DaemonProcess(Scratch scratch, Process process, string control)
    {
        _scratch = scratch;
        _process = process;
        Control = control;
    }

    /// <summary>The path of its control socket.</summary>
    public string Control { get; }

    /// <summary>HOST:PORT for other daemons.</summary>
    public string Listen { get; private set; } = "";

    /// <summary>HOST:PORT of its lanes.</summary>
    public string Lanes { get; private set; } = "";

    public int ProcessId => _process.Id;

    public string Log => string.Join('\n', _log);

    /// <summary>Starts a daemon and waits until it answers.</summary>
    public static async Task<DaemonProcess> StartAsync(string node, params string[] options)
    {
        var scratch = new Scratch();
        string control = scratch.PathOf("control.sock");
        string config = scratch.PathOf("config.json");
        File.WriteAllText(config, "{}");
        ProcessStartInfo start = ProgramUnderTest.Start(
            ["serve", "--node", node, "--listen", "127.0.0.1:0", "--lanes", "127.0.0.1:0", "--control", control, "--config", config,
                "--until-input-ends", .. options]);
        var daemon = new DaemonProcess(scratch, Process.Start(start)!, control);
        try
        {
            await daemon.ReadyAsync();
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command of the CLI against this daemon.</summary>
    public async Task<CommandResult> CliAsync(params string[] arguments)
    {
        using Process process = Process.Start(ProgramUnderTest.Start([.. arguments, "--control", Control]))!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException($"migrationd {string.Join(' ', arguments)} did not end within {Deadline}; the daemon's log:\n{Log}");
        }

        return new CommandResult($"migrationd {string.Join(' ', arguments)}", process.ExitCode, await output, await error);
    }

    /// <summary>`guest show` of one guest.</summary>
    public async Task<JsonNode> GuestAsync(string name) => (await CliAsync("guest", "show", name, "--json")).Succeeds().Json;

    /// <summary>Waits until the guest is as wanted.</summary>
    public async Task<JsonNode> GuestUntilAsync(string name, Func<JsonNode, bool> wanted)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            JsonNode guest = await GuestAsync(name);
            if (wanted(guest))
            {
                return guest;
            }

            Assert.True(clock.Elapsed < Deadline, $"guest {name} did not get there within {Deadline}: {guest}\n{Log}");
            await Task.Delay(PollInterval);
        }
    }

    /// <summary>Creates a guest and waits until it has written every page of its working set once.</summary>
    public async Task CreateGuestAsync(string name, string kind, string memory, string workingSet, int vcpus = 2, string pattern = "uniform")
    {
        (await CliAsync(
            "guest", "create", name, "--kind", kind, "--memory", memory, "--working-set", workingSet, "--vcpus", $"{vcpus}", "--pattern", pattern))
            .Succeeds();
        await GuestUntilAsync(name, guest => Sweeps(guest) >= 1);
    }

    /// <summary>Asserts that the guest runs here, makes steps, and after a whole look at its memory has found nothing wrong.</summary>
    public async Task GuestIsWellAsync(string name)
    {
        long sweeps = Sweeps(await GuestAsync(name));
        // A sweep under way may have begun elsewhere; the second one is of this node alone.
        JsonNode guest = await GuestUntilAsync(name, one => State(one) != "running" || Sweeps(one) >= sweeps + 2);
        Assert.Equal("running", State(guest));
        Assert.Equal(0, (long)guest["report"]!["corruptPages"]!);
    }

    public void Signal(int signal) => Assert.Equal(0, Kill(_process.Id, signal));

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has gone already.
        }

        // A stopped process cannot end in order.
        _ = Kill(_process.Id, 18);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
        _scratch.Dispose();
    }

    internal static string State(JsonNode guest) => (string)guest["state"]!;

    internal static long Sweeps(JsonNode guest) => (long)guest["report"]!["sweeps"]!;

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);

    private async Task ReadyAsync()
    {
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        var clock = Stopwatch.StartNew();
        while (true)
        {
            CommandResult node = await CliAsync("node", "--json");
            if (node.ExitCode == 0)
            {
                Listen = (string)node.Json["listen"]!;
                Lanes = (string)node.Json["lanes"]!;
                return;
            }

            Assert.False(_process.HasExited, $"the daemon ended:\n{Log}");
            Assert.True(clock.Elapsed < Deadline, $"the daemon does not answer:\n{node}\n{Log}");
            await Task.Delay(PollInterval);
        }
    }

    private void Keep(string? line)
    {
        if (line is not null)
        {
            _log.Enqueue(line);
        }
    }
}
