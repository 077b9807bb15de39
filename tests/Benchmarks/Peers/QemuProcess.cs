using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;

namespace MigrationD.Benchmarks.Peers;

/// <summary>A QEMU in a process of its own, with the pulse guest in it; ended on disposal.</summary>
internal sealed class QemuProcess : IAsyncDisposable
{
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _log = new();

    private QemuProcess(string name, Process process)
    {
        Name = name;
        _process = process;
        Monitor = null!;
    }

    /// <summary>What errors call it.</summary>
    public string Name { get; }

    public int ProcessId => _process.Id;

    public QmpClient Monitor { get; private set; }

    /// <summary>Starts it and waits until its monitor answers.</summary>
    /// <param name="program">qemu-system-x86_64, or a script that becomes it.</param>
    /// <param name="name">What errors call it.</param>
    /// <param name="folder">For its sockets; gone with everything in it after its end.</param>
    /// <param name="image">Path of the multiboot image.</param>
    /// <param name="machineBytes">The PC's RAM.</param>
    /// <param name="reports">Gets the guest's serial port.</param>
    /// <param name="incoming">Whether it waits for a guest instead of starting its own.</param>
    /// <param name="host">The network that it has; null for this machine's.</param>
    /// <exception cref="BenchmarkException">It does not start, or ends at once; the message has what it said.</exception>
    public static async Task<QemuProcess> StartAsync(
        string program,
        string name,
        string folder,
        string image,
        long machineBytes,
        SerialReports reports,
        bool incoming,
        NetworkHost? host,
        CancellationToken cancellation)
    {
        using var monitor = new QemuSocket(Path.Combine(folder, $"{name}-qmp"));
        using var serial = new QemuSocket(Path.Combine(folder, $"{name}-serial"));
        string megabytes = (machineBytes >> 20).ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(
            program,
            [
                "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-smp", "1", "-m", $"{megabytes}M",
                "-nodefaults", "-no-user-config", "-display", "none",
                "-chardev", $"socket,id=monitor,path={monitor.Path}", "-mon", "chardev=monitor,mode=control",
                "-chardev", $"socket,id=serial,path={serial.Path}", "-serial", "chardev:serial",

                // Where the pulse guest tells of an unexpected exception; QEMU then ends.
                "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                "-kernel", image,
                .. incoming ? ["-incoming", "defer"] : Array.Empty<string>(),
            ])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        host?.EnterNamespace(start);
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception error)
        {
            throw new BenchmarkException($"cannot start {program}: {error.Message}");
        }

        var qemu = new QemuProcess(name, process);
        try
        {
            process.OutputDataReceived += (_, line) => qemu.Keep(line.Data);
            process.ErrorDataReceived += (_, line) => qemu.Keep(line.Data);
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            reports.Attach($"{name} serial", await qemu.AcceptAsync(serial, cancellation));
            qemu.Monitor = new QmpClient(name, await qemu.AcceptAsync(monitor, cancellation));
            await qemu.Monitor.ExecuteAsync("qmp_capabilities", cancellation);
            return qemu;
        }
        catch
        {
            await qemu.DisposeAsync();
            throw;
        }
    }

    /// <summary>Completes when the process has ended; the text says how.</summary>
    public async Task<string> EndAsync(CancellationToken cancellation)
    {
        await _process.WaitForExitAsync(cancellation);
        return $"{Name} ended with exit code {_process.ExitCode}:\n{string.Join('\n', _log)}";
    }

    /// <summary>This QEMU's monitor; see <see cref="QmpClient"/>.</summary>
    public Task<JsonNode> ExecuteAsync(string command, JsonObject? arguments, CancellationToken cancellation) =>
        Monitor.ExecuteAsync(command, arguments, cancellation);

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            // There is nothing in it to keep. The whole tree: what was started may be a script that runs QEMU.
            _process.Kill(entireProcessTree: true);
        }

        using var deadline = new CancellationTokenSource(StopDeadline);
        await _process.WaitForExitAsync(deadline.Token);
        _process.Dispose();
        if (Monitor is not null)
        {
            await Monitor.DisposeAsync();
        }
    }

    /// <summary>The connection that QEMU makes when it starts; it makes all of them before it serves the first.</summary>
    private async Task<Socket> AcceptAsync(QemuSocket socket, CancellationToken cancellation)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task<Socket> accepted = socket.AcceptAsync(ended.Token);
        Task<string> end = EndAsync(ended.Token);
        if (await Task.WhenAny(accepted, end) == end && end.IsCompletedSuccessfully)
        {
            await ended.CancelAsync();
            throw new BenchmarkException(await end);
        }

        Socket connection = await accepted;
        await ended.CancelAsync();
        return connection;
    }

    private void Keep(string? line)
    {
        if (line is not null)
        {
            _log.Enqueue(line);
        }
    }
}
