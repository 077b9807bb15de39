using System.Diagnostics;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Benchmarks.Migrate;

/// <summary>Moves one fresh guest between two daemons and measures it from outside, through the control API and /proc.</summary>
internal sealed class MigrationRun(DaemonProcess source, DaemonProcess destination)
{
    private const double SecondsBefore = 2;
    private const double SecondsAfter = 2;
    private const int PageBytes = 4096;
    private const int CallsToWeigh = 40;

    // Pure precopy of a guest that writes too fast for it ends here.
    internal const int MaxRounds = 5;
    private const double UsualSpeed = 0.9;
    private const int IntervalsToStay = 3;
    private const int IntervalsOfLast = 10;
    private static readonly TimeSpan FillDeadline = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan MigrationDeadline = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);
    private static int _guests;

    /// <summary>Creates the guest, lets it fill its memory, moves it, and deletes it on both sides.</summary>
    /// <exception cref="BenchmarkException">The guest or its migration failed.</exception>
    public async Task<MigrationFigures> MeasureAsync(MigrationCase wanted)
    {
        string guest = await CreateAsync(wanted);
        MigrationFigures figures = wanted.Paused ? await MovePausedAsync(wanted, guest) : await MoveRunningAsync(wanted, guest);
        await DeleteAsync(guest);
        return figures;
    }

    /// <summary>Creates several guests and moves them at the same time.</summary>
    /// <returns>Each one's figures, and the time until the last had ended, in milliseconds.</returns>
    public async Task<(IReadOnlyList<MigrationFigures> Each, double AllMilliseconds)> MeasureTogetherAsync(
        IReadOnlyList<MigrationCase> wanted)
    {
        var guests = new List<string>();
        foreach (MigrationCase one in wanted)
        {
            guests.Add(await CreateAsync(one));
        }

        ulong[] gaps = await Task.WhenAll(guests.Select(async guest => (await source.GuestAsync(guest)).Report.LargestGapUs));
        new WarmReserve(wanted.Sum(one => one.ContentBytes)).Dispose();
        double cpu = Cpu();
        Migration[] ended = await Task.WhenAll(guests.Select(async guest => await FollowAsync(await StartAsync(guest, wanted[0]))));
        double all = (ended.Max(one => one.StartedUnixUs + (long)one.TotalUs) - ended.Min(one => one.StartedUnixUs)) / 1e3;
        cpu = Cpu() - cpu;
        var figures = new List<MigrationFigures>();
        for (int i = 0; i < guests.Count; i++)
        {
            Migration arrived = await ArrivedAsync(ended[i], wanted[i]);
            GuestMessage after = await WellAsync(guests[i]);
            figures.Add(Describe(ended[i], arrived) with
            {
                CpuSecondsPerGigabyte = cpu / ended.Length / Gigabytes(arrived),
                LargestGapMilliseconds = after.Report.LargestGapUs / 1e3,
                LargestGapBeforeMilliseconds = gaps[i] / 1e3,
            });
        }

        foreach (string guest in guests)
        {
            await DeleteAsync(guest);
        }

        return (figures, all);
    }

    private async Task<string> CreateAsync(MigrationCase wanted)
    {
        string guest = $"bench-{++_guests}";

        // Filling cold memory would leave a gap that hides the migration's.
        new WarmReserve(wanted.ContentBytes).Dispose();
        await source.Calls.CreateGuestAsync(new CreateGuestRequest { Spec = wanted.Spec(guest) });
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            GuestMessage now = await source.GuestAsync(guest);

            // After a whole pass of every vCPU there is no page left to fill.
            if (now.State == GuestState.Running && now.Report.Sweeps > 0)
            {
                return guest;
            }

            if (now.State != GuestState.Running || Stopwatch.GetElapsedTime(start) > FillDeadline)
            {
                throw new BenchmarkException(
                    $"guest {guest} ({wanted.Name}) did not fill its memory within {FillDeadline}: {now}\n{source.Log}");
            }

            await Task.Delay(PollInterval);
        }
    }

    private async Task<MigrationFigures> MoveRunningAsync(MigrationCase wanted, string guest)
    {
        using var warm = new WarmReserve(wanted.ContentBytes);
        var probe = new SpeedProbe(source, destination, guest);
        await probe.SampleUntilAsync(SecondsBefore);
        ulong gapBefore = (await source.GuestAsync(guest)).Report.LargestGapUs;
        double hugeBefore = ProcessMemory.HugeShare(source.ProcessId, wanted.MemoryBytes);
        (int callsBefore, _) = probe.Calls;
        double cpu = Cpu();
        ulong sourceBytes = await AllocatedAsync(source);
        ulong destinationBytes = await AllocatedAsync(destination);

        warm.Dispose();
        double start = probe.Now;
        Migration migration = await StartAsync(guest, wanted);
        int asked = 0;
        while (!IsFinal(migration.State))
        {
            await probe.SampleAsync();
            await Task.Delay(SpeedProbe.Interval);
            migration = await ShowAsync(migration.Id);
            asked++;
            if (probe.Now - start > MigrationDeadline.TotalSeconds)
            {
                throw Failed(migration, $"did not end within {MigrationDeadline}");
            }
        }

        double completed = start + (migration.TotalUs / 1e6);
        cpu = Cpu() - cpu;
        sourceBytes = await AllocatedAsync(source) - sourceBytes;
        destinationBytes = await AllocatedAsync(destination) - destinationBytes;
        Ended(migration);
        (int sourceCalls, int destinationCalls) = probe.Calls;
        double hugeOnArrival = ProcessMemory.HugeShare(destination.ProcessId, wanted.MemoryBytes);
        await probe.SampleUntilAsync(completed + SecondsAfter);
        double hugeLater = ProcessMemory.HugeShare(destination.ProcessId, wanted.MemoryBytes);
        GuestMessage after = await WellAsync(guest);
        Migration arrived = await ArrivedAsync(migration, wanted);

        // What asking has cost is no cost of the migration.
        double show = await WeighAsync(source, () => ShowAsync(migration.Id));
        double onSource = sourceBytes - (asked * show)
            - ((sourceCalls - callsBefore) * await WeighAsync(source, () => source.GuestAsync(guest)));
        double onDestination = destinationBytes - (destinationCalls * await WeighAsync(destination, () => destination.GuestAsync(guest)));
        double gigabytes = Gigabytes(arrived);
        double stopped = (probe.LeftSource ?? start) - start;
        var speed = new SpeedSeries(wanted.Name, probe.Points(start))
        {
            // A sample late at most, which a guest that precopy has moved to its last page must not be.
            Downtime = new StandStill(
                Math.Max(0, Math.Min(stopped, (migration.TotalUs - (double)migration.DowntimeUs) / 1e6)), migration.DowntimeUs / 1e6),
            Completed = migration.TotalUs / 1e6,
        };
        return Describe(migration, arrived) with
        {
            CpuSecondsPerGigabyte = cpu / gigabytes,
            LargestGapMilliseconds = after.Report.LargestGapUs / 1e3,
            LargestGapBeforeMilliseconds = gapBefore / 1e3,
            LeastSpeed = speed.Least(),
            SlowMilliseconds = SlowMilliseconds(speed),
            SpeedLater = speed.Points.TakeLast(IntervalsOfLast).Average(point => point.StepsPerSecond) / speed.Before(),
            HugeOnSource = hugeBefore,
            HugeOnArrival = hugeOnArrival,
            HugeLater = hugeLater,
            SourceAllocatedBytes = Math.Max(0, onSource),
            DestinationAllocatedBytes = Math.Max(0, onDestination),
            Speed = speed,
        };
    }

    private async Task<MigrationFigures> MovePausedAsync(MigrationCase wanted, string guest)
    {
        await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = guest });
        double hugeBefore = ProcessMemory.HugeShare(source.ProcessId, wanted.MemoryBytes);
        new WarmReserve(wanted.ContentBytes).Dispose();
        double cpu = Cpu();
        Migration migration = await FollowAsync(await StartAsync(guest, wanted));
        cpu = Cpu() - cpu;
        double hugeOnArrival = ProcessMemory.HugeShare(destination.ProcessId, wanted.MemoryBytes);
        Migration arrived = await ArrivedAsync(migration, wanted);
        return Describe(migration, arrived) with
        {
            CpuSecondsPerGigabyte = cpu / Gigabytes(arrived),
            HugeOnSource = hugeBefore,
            HugeOnArrival = hugeOnArrival,
            HugeLater = hugeOnArrival,
        };
    }

    private static MigrationFigures Describe(Migration left, Migration arrived)
    {
        PlacementCounters placed = arrived.Placement;
        LatencySummary faults = placed.FaultLatency ?? new LatencySummary();
        return new MigrationFigures
        {
            TotalMilliseconds = left.TotalUs / 1e3,
            GigabytesPerSecond = Gigabytes(arrived) / (left.TotalUs / 1e6),
            CpuSecondsPerGigabyte = 0,
            DowntimeMilliseconds = left.DowntimeUs / 1e3,
            DemandFaults = faults.Count,
            FaultMicroseconds = new Latencies(faults.P50, faults.P90, faults.P99, faults.P999, faults.Max),
            BlocktimeMilliseconds = placed.BlocktimeUs / 1e3,
            LargestGapMilliseconds = 0,
            LargestGapBeforeMilliseconds = 0,
            LeastSpeed = 1,
            SlowMilliseconds = 0,
            SpeedLater = 1,
            HugeOnSource = 0,
            HugeOnArrival = 0,
            HugeLater = 0,
            SourceAllocatedBytes = 0,
            DestinationAllocatedBytes = 0,
            Gigabytes = Gigabytes(arrived),
            PagesUrgent = placed.PagesUrgent,
            PagesRedundant = placed.PagesRedundant,
            Moves2M = placed.Moves2M,
            Moves4K = placed.Moves4K,
            Copies = placed.Copies,
            BytesSent = left.BytesSent,
            Rounds = left.Precopy?.Rounds ?? 0,
            PagesStale = placed.PagesForgotten,
        };
    }

    private static double Gigabytes(Migration arrived) => (arrived.Placement.PagesUrgent + arrived.Placement.PagesPush) * PageBytes / 1e9;

    /// <summary>When the speed was back and stayed for a while, in milliseconds from the start; null when it was not.</summary>
    private static double? SlowMilliseconds(SpeedSeries speed)
    {
        double usual = speed.Before() * UsualSpeed;
        SpeedPoint[] after = [.. speed.Points.Where(point => point.Seconds > 0)];
        int firstSlow = Array.FindIndex(after, point => point.StepsPerSecond < usual);
        if (firstSlow < 0)
        {
            return 0;
        }

        for (int i = firstSlow + 1; i + IntervalsToStay <= after.Length; i++)
        {
            if (after.AsSpan(i, IntervalsToStay).ToArray().All(point => point.StepsPerSecond >= usual))
            {
                return after[i - 1].Seconds * 1e3;
            }
        }

        return null;
    }

    private static bool IsFinal(MigrationState state) =>
        state is MigrationState.Completed or MigrationState.Failed or MigrationState.Cancelled;

    private Task<Migration> StartAsync(string guest, MigrationCase wanted)
    {
        MigrateRequest order = DaemonProcess.Order(guest, destination.Listen, wanted.Mode);
        order.Lanes = (uint)wanted.Lanes;
        order.Compress = wanted.Compress;
        // How long the guest then stands still is a figure like the others.
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        order.MaxRounds = MaxRounds;
        return source.Calls.MigrateAsync(order).ResponseAsync;
    }

    private Task<Migration> ShowAsync(string id) => source.Calls.GetMigrationAsync(new GetMigrationRequest { Id = id }).ResponseAsync;

    private async Task<Migration> FollowAsync(Migration migration)
    {
        long start = Stopwatch.GetTimestamp();
        while (!IsFinal(migration.State))
        {
            if (Stopwatch.GetElapsedTime(start) > MigrationDeadline)
            {
                throw Failed(migration, $"did not end within {MigrationDeadline}");
            }

            await Task.Delay(PollInterval);
            migration = await ShowAsync(migration.Id);
        }

        Ended(migration);
        return migration;
    }

    private void Ended(Migration migration)
    {
        if (migration.State != MigrationState.Completed)
        {
            throw Failed(migration, $"ended as {migration.State}: {migration.Reason}");
        }
    }

    private BenchmarkException Failed(Migration migration, string how) =>
        new($"migration {migration.Id} {how}\nthe source's log:\n{source.Log}\nthe destination's log:\n{destination.Log}");

    /// <summary>The destination's record, which has all that it counted.</summary>
    private async Task<Migration> ArrivedAsync(Migration left, MigrationCase wanted)
    {
        ListMigrationsResponse all = await destination.Calls.ListMigrationsAsync(new ListMigrationsRequest());
        Migration arrived = all.Migrations.Single(one => one.Id == left.Id);
        ulong withContent = arrived.Placement.PagesUrgent + arrived.Placement.PagesPush;
        return (long)withContent * PageBytes >= wanted.WorkingSetBytes
            ? arrived
            : throw new BenchmarkException(
                $"{wanted.Name}: {withContent} pages had content, fewer than the working set has; the guest moved before it was filled");
    }

    /// <summary>The guest after its migration; a figure of a guest that came to harm would be none.</summary>
    private async Task<GuestMessage> WellAsync(string guest)
    {
        GuestMessage now = await destination.GuestAsync(guest);
        return now.State == GuestState.Running && now.Report.CorruptPages == 0
            ? now
            : throw new BenchmarkException($"guest {guest} did not arrive well: {now}\n{destination.Log}");
    }

    private async Task DeleteAsync(string guest)
    {
        await destination.Calls.DeleteGuestAsync(new DeleteGuestRequest { Name = guest });
        await source.Calls.DeleteGuestAsync(new DeleteGuestRequest { Name = guest });
    }

    private double Cpu() => ProcessMemory.CpuSeconds(source.ProcessId) + ProcessMemory.CpuSeconds(destination.ProcessId);

    private static async Task<ulong> AllocatedAsync(DaemonProcess daemon) =>
        (await daemon.Calls.GetNodeAsync(new GetNodeRequest())).ManagedBytesAllocated;

    /// <summary>Bytes that a daemon allocates to answer one call.</summary>
    private static async Task<double> WeighAsync(DaemonProcess daemon, Func<Task> call)
    {
        ulong before = await AllocatedAsync(daemon);
        for (int i = 0; i < CallsToWeigh; i++)
        {
            await call();
        }

        return (double)(await AllocatedAsync(daemon) - before) / CallsToWeigh;
    }
}
