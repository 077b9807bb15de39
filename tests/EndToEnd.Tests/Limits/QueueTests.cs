using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>Only so many guests are on their way at a time, in either direction; the others wait, and come in their turn.</summary>
public sealed class QueueTests
{
    private const int HangUp = 1;

    [MachineFact(Needs.Userfaultfd)]
    public async Task Migrations_begin_in_the_order_of_their_request_and_may_be_cancelled_before()
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
        }

        (await source.CliAsync("migration", "cancel", ids[1])).Succeeds();
        await source.MigrationUntilAsync(ids[2], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));
        await ResumedGuestIsWellAsync(source, "g1");
        Assert.Equal(["g0"], (await destination.GuestsAsync()).Select(guest => guest.Spec.Name));

        // The one under way ends, and nothing else has begun until then.
        await LiftAsync(source, ids[0]);
        await source.MigrationUntilAsync(ids[2], one => one.State == MigrationState.PostcopyActive);
        Assert.Equal(MigrationState.Completed, (await source.MigrationUntilAsync(ids[0], _ => true)).State);
        await source.MigrationUntilAsync(ids[3], one => one.Reason.StartsWith("number 1 in the queue", StringComparison.Ordinal));
        await LiftAsync(source, ids[2]);
        await LiftAsync(source, ids[3]);
        Migration last = await source.MigrationUntilAsync(ids[3], one => one.State == MigrationState.Completed);
        Assert.Equal("", last.Reason);
        await ResumedGuestIsWellAsync(destination, "g3");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task The_limit_is_changed_while_the_daemon_runs()
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
    public async Task A_full_destination_is_waited_for_and_others_go_elsewhere_meanwhile()
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
        await ResumedGuestIsWellAsync(full, "g1");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_full_destination_is_not_waited_for_forever()
    {
        await using var source = await DaemonProcess.StartAsync("source", "--queue-timeout", "1s");
        await using var full = await DaemonProcess.StartAsync("full", "--max-incoming", "1");
        string[] ids = await BeginHeldAsync(source, full, 2);
        Migration failed = await source.MigrationUntilAsync(ids[1], one => one.State == MigrationState.Failed);
        Assert.Contains("--queue-timeout", failed.Reason, StringComparison.Ordinal);
        await ResumedGuestIsWellAsync(source, "g1");
        await LiftAsync(source, ids[0]);
        await source.MigrationUntilAsync(ids[0], one => one.State == MigrationState.Completed);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_daemon_that_stops_begins_none_that_waits()
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
        await ResumedGuestIsWellAsync(destination, "g0");
        Assert.Single(await destination.GuestsAsync());
    }

    /// <summary>
    /// Begins to move guests g0, g1 ... one after the other; each is under way until <see cref="LiftAsync"/>. They are paused, and so ask for
    /// none of the pages that are not pushed.
    /// </summary>
    private static async Task<string[]> BeginHeldAsync(DaemonProcess source, DaemonProcess destination, int count)
    {
        string[] ids = new string[count];
        for (int i = 0; i < count; i++)
        {
            await source.CreateGuestAsync($"g{i}", "workload", "16MiB", "8MiB", vcpus: 1);
            await source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = $"g{i}" });
            ids[i] = (await source.Calls.MigrateAsync(new MigrateRequest
                {
                    Guest = $"g{i}",
                    To = destination.Listen,
                    Mode = MigrationMode.Postcopy,
                    PostcopyBandwidth = 1024,
                })).Id;
        }

        return ids;
    }

    private static async Task ResumedGuestIsWellAsync(DaemonProcess daemon, string name)
    {
        await daemon.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = name });
        await daemon.GuestIsWellAsync(name);
    }

    private static Task<Migration> LiftAsync(DaemonProcess source, string id) =>
        source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 }).ResponseAsync;
}
