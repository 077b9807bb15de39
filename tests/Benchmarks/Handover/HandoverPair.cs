using System.Diagnostics;
using MigrationD.Benchmarks.Migrate;
using MigrationD.Benchmarks.Report;
using MigrationD.EndToEnd.Tests;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Benchmarks.Handover;

/// <summary>Two daemons of one build, between which a guest goes to and fro.</summary>
internal sealed class HandoverPair : IAsyncDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(5);
    private static int _guests;

    private readonly DaemonProcess _one;
    private readonly DaemonProcess _two;

    private HandoverPair(DaemonProcess one, DaemonProcess two)
    {
        _one = one;
        _two = two;
    }

    /// <summary>Starts both.</summary>
    /// <param name="program">The path of their program; null for the one that was built with this benchmark.</param>
    public static async Task<HandoverPair> StartAsync(string? program)
    {
        DaemonProcess one = await StartOneAsync("one", program);
        try
        {
            return new HandoverPair(one, await StartOneAsync("two", program));
        }
        catch
        {
            await one.DisposeAsync();
            throw;
        }
    }

    /// <summary>Creates a guest, moves it so many times, there and back in turn, and deletes it.</summary>
    /// <exception cref="BenchmarkException">The guest or a migration failed.</exception>
    public async Task<IReadOnlyList<HandoverTimes>> MoveAsync(MigrationCase wanted, int times)
    {
        string guest = $"handover-{++_guests}";
        await _one.Calls.CreateGuestAsync(new CreateGuestRequest { Spec = wanted.Spec(guest) });
        await UntilAsync(
            async () => (await _one.GuestAsync(guest)) is { State: GuestState.Running, Report.Sweeps: > 0 } ? guest : null,
            () => $"guest {guest} did not fill its memory");
        var figures = new List<HandoverTimes>();
        for (int i = 0; i < times; i++)
        {
            (DaemonProcess source, DaemonProcess destination) = i % 2 == 0 ? (_one, _two) : (_two, _one);
            figures.Add(await MoveOnceAsync(guest, wanted.Mode, source, destination));
        }

        GuestMessage after = await (times % 2 == 0 ? _one : _two).GuestAsync(guest);
        if (after.State != GuestState.Running || after.Report.CorruptPages != 0)
        {
            throw new BenchmarkException($"guest {guest} did not stay well: {after}");
        }

        foreach (DaemonProcess daemon in new[] { _one, _two })
        {
            await daemon.Calls.DeleteGuestAsync(new DeleteGuestRequest { Name = guest });
        }

        return figures;
    }

    public async ValueTask DisposeAsync()
    {
        await _one.DisposeAsync();
        await _two.DisposeAsync();
    }

    // Logs are read, so they have to be in the form for that.
    private static Task<DaemonProcess> StartOneAsync(string node, string? program) => DaemonProcess.StartAsync(
        node, start => start.FileName = program ?? start.FileName, "--log-format", "json");

    private async Task<HandoverTimes> MoveOnceAsync(string guest, MigrationMode mode, DaemonProcess source, DaemonProcess destination)
    {
        string id = await source.BeginMigrationAsync(guest, destination, mode);
        await UntilAsync(
            async () => await EndedAsync(source, id) is not null && await EndedAsync(destination, id) is not null ? id : null,
            () => $"migration {id} did not end");
        return await UntilAsync(
            () => Task.FromResult(HandoverTimes.Find(id, source, destination)), () => $"the logs do not say how migration {id} went");
    }

    private async Task<Migration?> EndedAsync(DaemonProcess daemon, string id)
    {
        Migration migration = await daemon.Calls.GetMigrationAsync(new GetMigrationRequest { Id = id });
        return migration.State switch
        {
            MigrationState.Completed => migration,
            MigrationState.Failed or MigrationState.Cancelled or MigrationState.PostcopyPaused =>
                throw new BenchmarkException($"migration {id} is {migration.State}: {migration.Reason}"),
            _ => null,
        };
    }

    private async Task<T> UntilAsync<T>(Func<Task<T?>> find, Func<string> otherwise)
        where T : class
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            if (await find() is { } found)
            {
                return found;
            }

            if (Stopwatch.GetElapsedTime(start) > Deadline)
            {
                throw new BenchmarkException($"within {Deadline} {otherwise()}\none's log:\n{_one.Log}\ntwo's log:\n{_two.Log}");
            }

            await Task.Delay(PollInterval);
        }
    }
}
