using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>Only so many guests are on their way at a time, in either direction; the others wait, and come in their turn.</summary>
public sealed class QueueTests
{
    private const int HangUp = 1;

    [MachineFact(Needs.Userfaultfd)]
    public async Task MigrationsBeginInTheOrderOfTheirRequestAndMayBeCancelledBefore()
    {
        await using var source = await DaemonProcess.StartAsync("source", "--max-outgoing", "1");
        await using var destination = await DaemonProcess.StartAsync("destination");
        string[] ids = await BeginHeldAsync(source, destination, 4);
        await source.MigrationUntilAsync(ids[0], one => one.State == MigrationState.PostcopyActive);
        for (int place = 1; place < ids.Length; place++)
        {
            Migration waiting = await source.MigrationUntilAsync(
                ids[place], one => one.Reason.StartsWith($"number {place} in the queue", StringComparison.Ordinal));
            Assert.Equal(MigrationState.Setup, waiting.State);
            Assert.Contains("--max-outgoing", waiting.Reason, StringComparison.Ordinal);
            Assert.Equal(GuestState.Running, (await source.GuestAsync($"g{place}")).State);
        }

        (await source.CliAsync("migration", "cancel", ids[1])).Succeeds();
        await source.MigrationUntilAsync(ids[2], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));
        await source.GuestIsWellAsync("g1");
        Assert.Empty((await destination.GuestsAsync()).Where(guest => guest.Spec.Name != "g0"));

        // The one under way ends, and nothing else has begun until then.
        await LiftAsync(source, ids[0]);
        await source.MigrationUntilAsync(ids[2], one => one.State == MigrationState.PostcopyActive);
        Assert.Equal(MigrationState.Completed, (await source.MigrationUntilAsync(ids[0], _ => true)).State);
        await source.MigrationUntilAsync(ids[3], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));
        await LiftAsync(source, ids[2]);
        await LiftAsync(source, ids[3]);
        Migration last = await source.MigrationUntilAsync(ids[3], one => one.State == MigrationState.Completed);
        Assert.Equal("", last.Reason);
        await destination.GuestIsWellAsync("g3");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task TheLimitIsChangedWhileTheDaemonRuns()
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        string[] ids = await BeginHeldAsync(source, destination, 4);
        await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.PostcopyActive);
        await source.MigrationUntilAsync(ids[2], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));

        await File.WriteAllTextAsync(source.ConfigFile, """{ "maxOutgoing": "3" }""");
        source.Signal(HangUp);
        await source.MigrationUntilAsync(ids[2], one => one.State == MigrationState.PostcopyActive);
        await source.MigrationUntilAsync(ids[3], one => one.Reason.Contains("3 of at most 3", StringComparison.Ordinal));
        Assert.Matches("maxOutgoing +3 ", (await source.CliAsync("config", "show")).Succeeds().Output);
        (await source.CliAsync("migration", "cancel", ids[3])).Succeeds();
        foreach (string id in ids[..3])
        {
            await LiftAsync(source, id);
            await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        }
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task AFullDestinationIsWaitedForAndOthersGoElsewhereMeanwhile()
    {
        await using var source = await DaemonProcess.StartAsync("source", "--max-outgoing", "2");
        await using var full = await DaemonProcess.StartAsync("full", "--max-incoming", "1");
        await using var other = await DaemonProcess.StartAsync("other");
        string[] ids = await BeginHeldAsync(source, full, 2);
        await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.Setup
            && one.Reason.Contains("takes no more guests at the moment", StringComparison.Ordinal)
            && one.Reason.Contains("--max-incoming", StringComparison.Ordinal));

        await source.CreateGuestAsync("elsewhere", "workload", "8MiB", "4MiB");
        await source.MigrateAsync("elsewhere", other);

        await LiftAsync(source, ids[0]);
        await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.PostcopyActive);
        await LiftAsync(source, ids[1]);
        await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.Completed);
        await full.GuestIsWellAsync("g1");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task AFullDestinationIsNotWaitedForForever()
    {
        await using var source = await DaemonProcess.StartAsync("source", "--queue-timeout", "1s");
        await using var full = await DaemonProcess.StartAsync("full", "--max-incoming", "1");
        string[] ids = await BeginHeldAsync(source, full, 2);
        Migration failed = await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.Failed);
        Assert.Contains("--queue-timeout", failed.Reason, StringComparison.Ordinal);
        await source.GuestIsWellAsync("g1");

        // What such a destination is asked by daemons that cannot wait is refused as ever.
        await LiftAsync(source, ids[0]);
        await source.MigrationUntilAsync(ids[0], one => one.State == MigrationState.Completed);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task ADaemonThatStopsBeginsNoneThatWaits()
    {
        await using var source = await DaemonProcess.StartAsync("source", "--max-outgoing", "1");
        await using var destination = await DaemonProcess.StartAsync("destination");
        string[] ids = await BeginHeldAsync(source, destination, 2);
        await source.MigrationUntilAsync(ids[1], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));

        source.Signal(15);
        await source.MigrationUntilAsync(ids[1], one => one is { State: MigrationState.Failed, Reason: "this daemon is stopping" });
        // The one that is under way is waited for.
        await LiftAsync(source, ids[0]);
        Assert.Equal(0, await source.ExitAsync());
        await destination.GuestIsWellAsync("g0");
        Assert.Single(await destination.GuestsAsync());
    }

    /// <summary>Begins to move guests g0, g1 ... one after the other; each keeps its place until <see cref="LiftAsync"/>.</summary>
    private static async Task<string[]> BeginHeldAsync(DaemonProcess source, DaemonProcess destination, int count)
    {
        string[] ids = new string[count];
        for (int i = 0; i < count; i++)
        {
            await source.CreateGuestAsync($"g{i}", "workload", "16MiB", "4MiB", vcpus: 1);
            ids[i] = (await source.CallAsync(
                ControlMethods.Migrate,
                new MigrateRequest
                {
                    Guest = $"g{i}",
                    To = destination.Listen,
                    Mode = MigrationMode.Postcopy,
                    PostcopyBandwidth = 1024,
                })).Id;
        }

        return ids;
    }

    private static Task<Migration> LiftAsync(DaemonProcess source, string id) =>
        source.CallAsync(ControlMethods.SetMigration, new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 });
}
