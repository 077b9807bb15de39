using System.Diagnostics;
using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.Guest;
using MigrationD.Guest.Dirty;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Memory;

namespace MigrationD.Benchmarks.Dirty;

/// <summary>One guest before, under and after a dirty log, in this process.</summary>
internal static class DirtyRun
{
    public const int Vcpus = 2;

    /// <summary>Between two harvests; a round of precopy at 10 Gbit/s sends some 100 MB in that time.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>For each speed. A KVM guest reports every 50 ms.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromSeconds(1.5);

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    public static DirtyFigures Measure(DirtyCase wanted, long memoryBytes)
    {
        new WarmReserve(memoryBytes).Dispose();
        using GuestMemory memory = GuestMemory.Map(memoryBytes);
        using IGuest guest = GuestFactory.Create(
            new GuestSpec("dirty", wanted.Kind, memoryBytes, Vcpus, MigrationCase.NearlyAll(memoryBytes), wanted.Pattern), memory);
        using IDirtyLog log = wanted.WriteProtected ? new WriteProtectLog(memory) : guest.OpenDirtyLog();
        var dirty = new PageSet(memory.PageCount);
        double perGiB = (double)(1L << 30) / memoryBytes;

        // It counts steps once every page has content.
        guest.Resume();
        _ = NextChange(guest, 0);
        double speed = SpeedWhile(guest, () => Thread.Sleep(Window));
        double hugeBefore = ProcessMemory.At(memory.Address, memory.Length).HugeShare;

        double arm = 0;
        double armedSpeed = SpeedWhile(guest, () =>
        {
            arm = Milliseconds(log.Arm);
            Thread.Sleep(Window);
        });

        var harvests = new List<double>();
        long pages = 0;
        _ = log.Harvest(dirty);
        double harvestedSpeed = SpeedWhile(guest, () =>
        {
            for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Window;)
            {
                Thread.Sleep(Interval);
                harvests.Add(Milliseconds(() => pages += log.Harvest(dirty)));
            }
        });
        double hugeArmed = ProcessMemory.At(memory.Address, memory.Length).HugeShare;

        guest.Pause();
        double last = Milliseconds(() => log.HarvestLast(dirty));
        _ = log.Harvest(dirty);
        double clean = Milliseconds(() => log.Harvest(dirty));
        guest.Resume();
        double disarm = Milliseconds(log.Disarm);
        double speedAfter = SpeedWhile(guest, () => Thread.Sleep(Window));
        if (guest.Failure is { } failure || guest.Report().CorruptPages != 0)
        {
            throw new BenchmarkException($"the guest of case '{wanted.Name}' failed: {guest.Failure ?? "it found corrupt pages"}");
        }

        return new DirtyFigures(
            speed,
            armedSpeed,
            harvestedSpeed,
            speedAfter,
            arm * perGiB,
            harvests.Average() * perGiB,
            harvests.Max() * perGiB,
            last * perGiB,
            clean * perGiB,
            disarm * perGiB,
            (double)pages / harvests.Count,
            hugeBefore,
            hugeArmed);
    }

    /// <summary>Steps a second, from a moment at which the guest's count was seen to change to another.</summary>
    private static double SpeedWhile(IGuest guest, Action during)
    {
        (long before, long start) = NextChange(guest, guest.Report().Steps);
        during();
        (long after, long end) = NextChange(guest, guest.Report().Steps);
        return (after - before) / Stopwatch.GetElapsedTime(start, end).TotalSeconds;
    }

    private static (long Steps, long Timestamp) NextChange(IGuest guest, long steps)
    {
        long start = Stopwatch.GetTimestamp();
        while (guest.Report().Steps is var now)
        {
            if (now != steps)
            {
                return (now, Stopwatch.GetTimestamp());
            }

            if (guest.Failure is not null || Stopwatch.GetElapsedTime(start) > Deadline)
            {
                break;
            }

            Thread.Sleep(1);
        }

        throw new BenchmarkException($"the guest takes no step: {guest.Failure ?? "it still runs"}");
    }

    private static double Milliseconds(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
