using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Guest;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Benchmarks.Peers;

/// <summary>
/// The pulse guest migrated from one QEMU to another, with no limit on bandwidth and QEMU's own defaults otherwise.
/// </summary>
internal static class QemuMigration
{
    // How long the guest is watched before and after its migration.
    private const double SecondsAround = 2;

    // At 2 to 3 GHz a report every 8 to 13 ms. How many ticks a second has is not known until the guest has reported a while.
    private const ulong ReportTicks = 25_000_000;
    private const int CalibrationReports = 50;
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    /// <summary>Runs one migration from the start of both QEMUs to their end.</summary>
    /// <exception cref="BenchmarkException">It did not succeed, or the guest found a page that is not as it left it.</exception>
    public static async Task<PeerRun> RunAsync(QemuProgram program, GuestSpec spec, QemuCourse course)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("migrationd-peers-");
        try
        {
            return await RunAsync(program, spec, course, folder.FullName);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task<PeerRun> RunAsync(QemuProgram program, GuestSpec spec, QemuCourse course, string folder)
    {
        string image = Path.Combine(folder, "guest");
        await File.WriteAllBytesAsync(image, QemuGuestImage.Create(spec, ReportTicks));
        using var cancellation = new CancellationTokenSource(Deadline);
        bool interrupted = false;

        // Both QEMUs are processes of their own and would go on without this one.
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);
        CancellationToken token = cancellation.Token;
        using var reports = new SerialReports();
        try
        {
            await using QemuProcess source = await StartAsync("source", incoming: false, course.Network?.One);
            await using QemuProcess destination = await StartAsync("destination", incoming: true, course.Network?.Two);
            Task<PeerRun> run = MigrateAsync(program, spec, course, source, destination, reports, token);
            Task<string>[] ends = [source.EndAsync(token), destination.EndAsync(token)];
            Task first = await Task.WhenAny([run, .. ends]);
            if (first is Task<string> { IsCompletedSuccessfully: true } end)
            {
                await cancellation.CancelAsync();
                await Task.WhenAny(run);
                throw new BenchmarkException($"{program.Version}: {await end}");
            }

            return await run;
        }
        catch (OperationCanceledException)
        {
            throw new BenchmarkException(interrupted
                ? "Interrupted."
                : $"{program.Version} ({program.Path}) has not migrated the guest within {Deadline.TotalMinutes:0} minutes.");
        }

        void Interrupt(PosixSignalContext context)
        {
            context.Cancel = interrupted = true;
            cancellation.Cancel();
        }

        Task<QemuProcess> StartAsync(string name, bool incoming, NetworkHost? host) => QemuProcess.StartAsync(
            program.Path, name, folder, image, QemuGuestImage.MachineBytes(spec), reports, incoming, host, token);
    }

    private static async Task<PeerRun> MigrateAsync(
        QemuProgram program,
        GuestSpec spec,
        QemuCourse course,
        QemuProcess source,
        QemuProcess destination,
        SerialReports reports,
        CancellationToken cancellation)
    {
        JsonNode to = await PrepareAsync(course, source, destination, cancellation);

        // Every page is written now; a while more shows the guest's speed and its clock.
        long filled = 0;
        await reports.UntilAsync(
            (time, report) =>
            {
                filled = filled == 0 && report.StepCount > 0 ? time : filled;
                return filled != 0 && Stopwatch.GetElapsedTime(filled, time).TotalSeconds > SecondsAround;
            },
            cancellation);
        double hugeBefore = ProcessMemory.HugeShare(source.ProcessId, QemuGuestImage.MachineBytes(spec));
        IReadOnlyList<(long Time, PulseReportLine Line)> before = reports.All();
        double period = Period(before);

        long start = Stopwatch.GetTimestamp();
        DateTimeOffset started = DateTimeOffset.UtcNow;
        await source.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"tcp:{course.Address}:{to["port"]}" }, cancellation);
        await course.StartedAsync(source, cancellation);
        Task<DateTimeOffset> stop = FollowAsync(source, "STOP", pass => course.PassBeginsAsync(source, pass, cancellation), cancellation);
        Task<DateTimeOffset> resume = FollowAsync(destination, "RESUME", _ => Task.CompletedTask, cancellation);
        (DateTimeOffset stopped, DateTimeOffset resumed) = (await stop, await resume);
        double hugeAfter = ProcessMemory.HugeShare(destination.ProcessId, QemuGuestImage.MachineBytes(spec));
        JsonNode sent = await source.ExecuteAsync("query-migrate", null, cancellation);
        JsonNode received = await destination.ExecuteAsync("query-migrate", null, cancellation);
        double total = Number(sent, "total-time");

        double after = Math.Ceiling((total / 1000) + SecondsAround);
        await reports.UntilAsync((time, _) => Stopwatch.GetElapsedTime(start, time).TotalSeconds > after, cancellation);
        IReadOnlyList<(long Time, PulseReportLine Line)> all = reports.All();
        if (all[^1].Line.CorruptCount != 0)
        {
            throw new BenchmarkException(
                $"{program.Version}: the guest found {all[^1].Line.CorruptCount} pages that are not as it left them");
        }

        double downtime = (resumed - stopped).TotalSeconds;
        SpeedSeries speed = StepTrace.Speed(
            program.Version, [.. all.Select(one => (one.Time, one.Line.StepCount))], start, SecondsAround, after) with
        {
            Downtime = new StandStill((stopped - started).TotalSeconds, downtime),
            Completed = total / 1000,
        };
        (double gapBefore, double gap) = LargestGap(all, start, period, downtime * 1000);
        JsonNode memory = sent["ram"]!;
        double faults = Number(memory, "postcopy-requests");

        // Nobody counts it where precopy has moved everything.
        double blocktime = faults > 0 ? Number(received, "postcopy-blocktime") : 0;
        return new PeerRun
        {
            TotalMilliseconds = total,
            DowntimeMilliseconds = downtime * 1000,
            DemandFaults = faults,
            BytesSent = Number(memory, "transferred"),
            Rounds = Number(memory, "dirty-sync-count"),
            BlocktimeMilliseconds = blocktime,

            // Nanoseconds, since QEMU 10.1.
            FaultMeanMicroseconds = received["postcopy-latency"] is { } latency
                ? latency.GetValue<double>() / 1000
                : PeerRun.Mean(blocktime, faults),
            LargestGapMilliseconds = gap,
            LargestGapBeforeMilliseconds = gapBefore,
            HugeBefore = hugeBefore,
            HugeAfter = hugeAfter,
            Speed = speed,
            StepsPerSecondBefore = speed.Before(),
            LeastSpeed = speed.Least(),
            LostMilliseconds = SpeedShares.LostMilliseconds(speed),
        };
    }

    /// <summary>Both QEMUs ready to migrate.</summary>
    /// <returns>Where the destination listens.</returns>
    private static async Task<JsonNode> PrepareAsync(
        QemuCourse course, QemuProcess source, QemuProcess destination, CancellationToken cancellation)
    {
        foreach (QemuProcess qemu in new[] { source, destination })
        {
            var capabilities = new JsonArray(
                [.. course.Capabilities.Select(name => (JsonNode)new JsonObject { ["capability"] = name, ["state"] = true })]);
            await qemu.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, cancellation);

            // 0 is no limit.
            await qemu.ExecuteAsync(
                "migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 0, ["max-postcopy-bandwidth"] = 0 }, cancellation);
        }

        await destination.ExecuteAsync("migrate-incoming", new JsonObject { ["uri"] = $"tcp:{course.Address}:0" }, cancellation);
        JsonNode status = await destination.ExecuteAsync("query-migrate", null, cancellation);
        return status["socket-address"]![0]!;
    }

    /// <summary>Follows a QEMU to the end of the migration.</summary>
    /// <param name="qemu">Which.</param>
    /// <param name="switchover">The event that is its part of the switchover.</param>
    /// <param name="passBegins">Called with the number of each pass over the memory that it begins.</param>
    /// <returns>
    /// When it stopped or started the guest. What it says of the downtime itself is too little (7.2) or the total time (10.0).
    /// </returns>
    private static async Task<DateTimeOffset> FollowAsync(
        QemuProcess qemu, string switchover, Func<long, Task> passBegins, CancellationToken cancellation)
    {
        var time = default(DateTimeOffset);
        while (true)
        {
            JsonObject news = await qemu.Monitor.EventAsync(cancellation);
            string? status = (string?)news["event"] == "MIGRATION" ? (string?)news["data"]!["status"] : null;
            if ((string?)news["event"] == switchover && time == default)
            {
                JsonNode timestamp = news["timestamp"]!;
                time = DateTimeOffset.FromUnixTimeSeconds((long)timestamp["seconds"]!).AddMicroseconds((long)timestamp["microseconds"]!);
            }

            if ((string?)news["event"] == "MIGRATION_PASS")
            {
                await passBegins((long)news["data"]!["pass"]!);
            }

            if (status == "completed" && time != default)
            {
                return time;
            }

            if (status is "completed" or "failed" or "cancelled" or "postcopy-paused")
            {
                JsonNode described = await qemu.ExecuteAsync("query-migrate", null, cancellation);
                string how = time == default ? $"{status} before {switchover}" : status;
                throw new BenchmarkException($"{qemu.Name}: the migration is {how}: {described["error-desc"]}");
            }
        }
    }

    /// <summary>The time between two reports of a guest that nothing stops, in milliseconds.</summary>
    private static double Period(IReadOnlyList<(long Time, PulseReportLine Line)> reports)
    {
        double[] periods =
        [
            .. reports.Skip(Math.Max(1, reports.Count - CalibrationReports)).Zip(
                reports.Skip(Math.Max(0, reports.Count - CalibrationReports - 1)),
                (next, one) => Stopwatch.GetElapsedTime(one.Time, next.Time).TotalMilliseconds),
        ];
        return Median.Of(periods);
    }

    /// <summary>The largest gap until the migration started, and the migration's own, in milliseconds.</summary>
    /// <remarks>
    /// The guest's own gap is in ticks of a clock that QEMU stops together with the guest: it holds every wait for a page, but not the
    /// downtime. A period of reports is a known number of those ticks, which says how long a tick is. When a neighbour on this machine had
    /// caused a larger gap before the migration, only the view from outside is left, which also holds what this process was late: the
    /// time between two reports beyond a period.
    /// </remarks>
    private static (double Before, double Own) LargestGap(
        IReadOnlyList<(long Time, PulseReportLine Line)> reports, long start, double period, double downtime)
    {
        double ticks = ReportTicks / period;
        double before = reports.Last(one => one.Time < start).Line.GapTicks / ticks;
        double after = reports[^1].Line.GapTicks / ticks;
        if (after > before)
        {
            return (before, Math.Max(after, downtime));
        }

        double silence = reports.Zip(reports.Skip(1)).Where(pair => pair.Second.Time > start)
            .Max(pair => Stopwatch.GetElapsedTime(pair.First.Time, pair.Second.Time).TotalMilliseconds) - period;
        return (before, Math.Clamp(silence, downtime, before + downtime));
    }

    private static double Number(JsonNode status, string field) =>
        status[field]?.GetValue<double>() ?? throw new BenchmarkException($"QEMU's query-migrate says nothing of {field}");
}
