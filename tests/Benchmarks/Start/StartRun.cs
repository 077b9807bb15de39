using System.Diagnostics;
using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;

namespace MigrationD.Benchmarks.Start;

/// <summary>Starts one program again and again, as a daemon and as a command, and measures it from outside.</summary>
internal sealed class StartRun(MigrationdProgram program)
{
    // A fault that is configured keeps a daemon from rehearsing; this one is at a step that no migration here comes to.
    private static readonly KeyValuePair<string, string?> NoRehearsal = new("MIGRATIOND_FAULT", "source.recover:delay:0");

    private const long MiB = 1 << 20;

    /// <summary>One round.</summary>
    /// <exception cref="BenchmarkException">A daemon is not well, or a migration failed.</exception>
    public async Task<StartFigures> MeasureAsync()
    {
        (double readyQuiet, double healthQuiet, double resident) = await StartAsync();
        double readyBusy, healthBusy;
        using (new BusyMachine())
        {
            (readyBusy, healthBusy, _) = await StartAsync();
        }

        return new StartFigures(
            readyQuiet, readyBusy, healthQuiet, healthBusy,
            await FirstDowntimeAsync(MigrationMode.Postcopy, _ => { }), await FirstDowntimeAsync(MigrationMode.Hybrid, _ => { }),
            await FirstDowntimeAsync(MigrationMode.Postcopy, Unrehearsed), await FirstDowntimeAsync(MigrationMode.Hybrid, Unrehearsed),
            resident);
    }

    private static void Unrehearsed(ProcessStartInfo start) => start.Environment.Add(NoRehearsal);

    private async Task<(double Ready, double Health, double Resident)> StartAsync()
    {
        long start = Stopwatch.GetTimestamp();
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(program, "start", _ => { });
        double ready = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        double health = await HealthAsync(daemon);
        return (ready, health, ProcessMemory.ResidentBytes(daemon.ProcessId));
    }

    private async Task<double> HealthAsync(DaemonProcess daemon)
    {
        long start = Stopwatch.GetTimestamp();
        using Process process = Process.Start(program.Start("health", "--control", daemon.Control))!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        double took = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        return process.ExitCode == 0
            ? took
            : throw new BenchmarkException($"health ended with {process.ExitCode}: {await output}{error}\n{daemon.Log}");
    }

    /// <summary>The demo's guest, moved once between two daemons that nothing has been asked of before.</summary>
    private async Task<double> FirstDowntimeAsync(MigrationMode mode, Action<ProcessStartInfo> prepare)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync(program, "source", prepare);
        await using DaemonProcess destination = await DaemonProcess.StartAsync(program, "destination", prepare);
        var guest = new MigrationCase("first", GuestKind.Kvm, WalkPattern.Uniform, 256 * MiB, 192 * MiB) { Mode = mode };
        (IReadOnlyList<MigrationFigures> moved, _) = await new MigrationRun(source, destination).MeasureTogetherAsync([guest]);
        return moved[0].DowntimeMilliseconds;
    }
}
