using System.Collections.Concurrent;
using System.Diagnostics;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A daemon in a process of its own, on ports of the system's choice. It ends with the test, however that ends.</summary>
internal sealed partial class DaemonProcess : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    // How long a daemon waits for a peer before it takes it for gone, unless a test is about that and says it: a machine that is busy for
    // longer than the defaults allow must not be taken for a lost link, nor for a destination that does not load a guest's state.
    private const string Patience = "30s";

    private const string ConfigName = "config.json";

    private readonly Scratch _scratch;
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _log = new();
    private readonly CallChannel _channel;

    private DaemonProcess(Scratch scratch, Process process, string control)
    {
        _scratch = scratch;
        ConfigFile = scratch.PathOf(ConfigName);
        _process = process;
        Control = control;
        _channel = CallChannel.Connect($"unix:{control}");
        Calls = _channel.Control();
    }

    /// <summary>The path of its control socket.</summary>
    public string Control { get; }

    /// <summary>The path of its configuration file, which sets nothing when it starts.</summary>
    public string ConfigFile { get; }

    /// <summary>HOST:PORT for other daemons.</summary>
    public string Listen { get; private set; } = "";

    /// <summary>HOST:PORT of its lanes.</summary>
    public string Lanes { get; private set; } = "";

    /// <summary>HOST:PORT for readers; empty unless it was started with <see cref="Readable"/> or an address of the test's choice.</summary>
    public string Web { get; private set; } = "";

    /// <summary>The options of a daemon that can be read.</summary>
    public static string[] Readable { get; } = ["--web", "127.0.0.1:0"];

    public int ProcessId => _process.Id;

    public bool HasExited => _process.HasExited;

    public string Log => string.Join('\n', _log);

    /// <summary>The lines of its log so far that have this in them.</summary>
    public IEnumerable<string> LinesWith(string text) => _log.Where(line => line.Contains(text, StringComparison.Ordinal));

    /// <summary>Starts a daemon and waits until it answers.</summary>
    public static Task<DaemonProcess> StartAsync(string node, params string[] options) => StartAsync(node, _ => { }, options);

    /// <summary>Starts a daemon with what <paramref name="prepare"/> changes about its start, and waits until it answers.</summary>
    public static Task<DaemonProcess> StartAsync(string node, Action<ProcessStartInfo> prepare, params string[] options) =>
        StartAsync(ProgramUnderTest.Program, node, prepare, options);

    /// <summary>Starts a daemon of a program, as <paramref name="prepare"/> changes it, and waits until it answers.</summary>
    public static async Task<DaemonProcess> StartAsync(
        MigrationdProgram program, string node, Action<ProcessStartInfo> prepare, params string[] options)
    {
        var scratch = new Scratch();
        string control = scratch.PathOf("control.sock");
        string config = scratch.PathOf(ConfigName);
        File.WriteAllText(config, "{}");
        ProcessStartInfo start = program.Start(
            ["serve", "--node", node, "--lanes", "127.0.0.1:0", "--control", control, "--config", config, "--until-input-ends",
                .. options.Contains("--listen") ? [] : (string[])["--listen", "127.0.0.1:0"], .. options]);
        // What it has not removed when it is killed goes with the folder.
        start.Environment["TMPDIR"] = scratch.PathOf("");
        start.Environment["MIGRATIOND_LINK_TIMEOUT"] = Patience;
        start.Environment["MIGRATIOND_SWITCHOVER_TIMEOUT"] = Patience;
        prepare(start);
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

    /// <summary>SIGTERM, and waits until the process has ended; its exit code.</summary>
    public async Task<int> StopAsync()
    {
        Signal(15);
        return await ExitAsync();
    }

    /// <summary>Waits until the process has ended by itself; its exit code.</summary>
    public async Task<int> ExitAsync()
    {
        using var deadline = new CancellationTokenSource(Deadline);
        await _process.WaitForExitAsync(deadline.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL, and waits until the process has ended.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGCONT: a daemon that was stopped goes on, and so does one of which one step waits (MIGRATIOND_FAULT).</summary>
    public void GoOn() => Signal(18);

    /// <summary>What to ask for to move a guest; by post-copy unless it is said otherwise.</summary>
    public static MigrateRequest Order(string guest, string to, MigrationMode mode = MigrationMode.Postcopy) =>
        new() { Guest = guest, To = to, Mode = mode };

    /// <summary>Starts a migration and does not wait for it.</summary>
    public async Task<string> BeginMigrationAsync(string guest, DaemonProcess destination, MigrationMode mode = MigrationMode.Postcopy) =>
        (await Calls.MigrateAsync(Order(guest, destination.Listen, mode))).Id;

    /// <summary>Orders a migration from a daemon that may be gone before it has answered; what came of it, the destination knows.</summary>
    public async Task OrderMigrationAsync(string guest, DaemonProcess destination, MigrationMode mode = MigrationMode.Postcopy)
    {
        try
        {
            await Calls.MigrateAsync(Order(guest, destination.Listen, mode));
        }
        catch (Refusal error) when (error.Why == Because.Unreachable)
        {
            // It ended before the answer was out.
        }
    }

    /// <summary>The control API, as the CLI uses it. What is asked for often is asked here: a process costs more than a call.</summary>
    public Control.ControlClient Calls { get; }

    public async Task<GuestMessage> GuestAsync(string name) => await Calls.GetGuestAsync(new GetGuestRequest { Name = name });

    public async Task<IReadOnlyList<GuestMessage>> GuestsAsync() =>
        (await Calls.ListGuestsAsync(new ListGuestsRequest())).Guests;

    /// <summary>Waits until the guest is as wanted.</summary>
    public async Task<GuestMessage> GuestUntilAsync(string name, Func<GuestMessage, bool> wanted)
    {
        GuestMessage? guest = null;
        await UntilAsync(async () => wanted(guest = await GuestAsync(name)), () => $"guest {name} did not get there: {guest}");
        return guest!;
    }

    /// <summary>Waits until the migration is as wanted.</summary>
    public async Task<Migration> MigrationUntilAsync(string id, Func<Migration, bool> wanted)
    {
        Migration? migration = null;
        await UntilAsync(
            async () =>
            {
                // A destination knows it once it has prepared.
                migration = (await Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations
                    .FirstOrDefault(one => one.Id == id);
                return migration is not null && wanted(migration);
            },
            () => $"migration {id} did not get there: {migration}");
        return migration!;
    }

    public void Signal(int signal)
    {
        if (!TrySignal(signal))
        {
            throw new InvalidOperationException($"no process {_process.Id} to send signal {signal} to");
        }
    }

    /// <summary>For a process that may end meanwhile; whether it was there.</summary>
    public bool TrySignal(int signal) => Kill(_process.Id, signal) == 0;

    /// <summary>Waits until the process has stopped itself as by SIGSTOP: state T in proc(5).</summary>
    public Task StoppedAsync() => UntilAsync(
        async () =>
        {
            string stat = await File.ReadAllTextAsync($"/proc/{_process.Id}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..][0] == 'T';
        },
        () => "the daemon did not stop itself");

    public async ValueTask DisposeAsync()
    {
        _channel.Dispose();
        // The test has seen what it wanted: what is still under way need not be waited for, as it would be in an end in order.
        await KillAsync();
        _process.Dispose();
        _scratch.Dispose();
    }

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);

    /// <summary>Looks again and again until something holds, or the deadline has passed.</summary>
    public async Task UntilAsync(Func<Task<bool>> holds, Func<string> otherwise)
    {
        var clock = Stopwatch.StartNew();
        while (!await holds())
        {
            if (clock.Elapsed > Deadline)
            {
                throw new TimeoutException($"within {Deadline} {otherwise()}\n{Log}");
            }

            await Task.Delay(PollInterval);
        }
    }

    private async Task ReadyAsync()
    {
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        var clock = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                Node node = await Calls.GetNodeAsync(new GetNodeRequest());
                (Listen, Lanes, Web) = (node.Listen, node.Lanes, node.Web);
                return;
            }
            catch (Refusal error) when (error.Why == Because.Unreachable)
            {
                if (_process.HasExited || clock.Elapsed > Deadline)
                {
                    string what = _process.HasExited ? "the daemon ended" : $"the daemon does not answer within {Deadline}";
                    throw new InvalidOperationException($"{what}: {error.Message}\n{Log}");
                }

                await Task.Delay(PollInterval);
            }
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
