using System.Diagnostics;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>How fast a migration may go, and that nobody who waits for a page pays for it.</summary>
public sealed class BandwidthTests
{
    private const ulong Mebibyte = 1 << 20;

    // One message, and what is in figures that are not of the same moment.
    private const ulong Slack = 6 * Mebibyte;

    // What was asked for and has been sent, and is not placed yet.
    private const ulong UnderWay = 2 * Mebibyte;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData(MigrationMode.Precopy)]
    [InlineData(MigrationMode.Hybrid)]
    [InlineData(MigrationMode.Postcopy)]
    public async Task No_more_is_sent_than_the_bandwidth_allows(MigrationMode mode)
    {
        const ulong Rate = 32 * Mebibyte;
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB", pattern: "zipf");
        // Begun before anything is sent, and read after it has been said how much was: of the two, the test's time is never the shorter.
        var clock = Stopwatch.StartNew();
        string id = await BeginAsync(source, destination, mode, request =>
        {
            request.Bandwidth = Rate;
            request.DowntimeLimitMs = 1;
        });

        Migration last;
        do
        {
            Assert.True(clock.Elapsed < Deadline, $"it did not get there within {Deadline}: {source.Log}");
            last = await source.Calls.GetMigrationAsync(new GetMigrationRequest { Id = id });
            TimeSpan time = clock.Elapsed;
            // What the guest asks for does not wait. The source hears of it with a delay; the destination is asked later, and knows.
            ulong urgent = mode == MigrationMode.Precopy ? 0 : await UrgentBytesAsync(destination, id) + UnderWay;
            Assert.InRange(last.BytesSent, 0UL, (ulong)(Rate * time.TotalSeconds) + Slack + urgent);
            await Task.Delay(PollInterval);
        }
        while (!last.IsEnded() && (mode != MigrationMode.Precopy || last.Precopy is not { Rounds: >= 2 }));

        Assert.Equal(Rate, last.Limits.Bandwidth);
        if (mode == MigrationMode.Precopy)
        {
            // Of a guest that the machine hardly lets run, nothing may be left to send by then.
            CommandResult set = await source.CliAsync("migration", "set", id, "--downtime-limit", "20s");
            _ = set.ExitCode == 0 ? set : set.Fails("it has ended");
        }

        Migration ended = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(ended.State == MigrationState.Completed, ended.Reason);
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData("--bandwidth")]
    [InlineData("--postcopy-bandwidth")]
    public async Task A_guest_gets_the_pages_it_asks_for_while_hardly_anything_is_pushed(string limit)
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "16MiB");
        (await source.CliAsync("migrate", "g", "--to", destination.Listen, "--mode", "postcopy", limit, "8KiB/s", "--detach")).Succeeds();
        string id = (await source.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations.Single().Id;

        CommandResult show = await source.CliAsync("migration", "show", id);
        Assert.Contains($"{limit[2..]} 8.0 KiB/s", show.Succeeds().Output, StringComparison.Ordinal);
        await destination.GuestUntilAsync("g", one => one.State == GuestState.Running);
        await destination.GuestIsWellAsync("g");
        Migration held = await destination.MigrationUntilAsync(id, one => one.Placement is not null);
        // The first block while the guest stands still, one message of a block at most, and 8 KiB for every second since.
        Assert.InRange(held.Placement.PagesPush, 0UL, (2 * 512UL) + (2 * (1 + (held.TotalUs / 1_000_000))));
        Assert.InRange(held.Placement.PagesUrgent, 16 * Mebibyte / 4096 - (2 * 512), 64 * Mebibyte / 4096);

        // A guest that has asked for all there is has no need of the push.
        if ((await source.CliAsync("migration", "set", id, limit, "unlimited", "--json")) is { ExitCode: 0 } set)
        {
            Assert.Equal("{}", set.Json["limits"]!.ToJsonString());
        }

        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
    }

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task Limits_of_precopy_are_changed_while_it_goes_on_and_not_after()
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB");
        string id = await BeginAsync(source, destination, MigrationMode.Precopy, request =>
        {
            request.Bandwidth = 4 * Mebibyte;
            request.DowntimeLimitMs = 1;
            request.MaxRounds = 1000;
        });
        Migration held = await source.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive);
        Assert.Equal((1U, 1000U), (held.Limits.DowntimeLimitMs, held.Limits.MaxRounds));

        (await source.CliAsync("migration", "set", id, "--postcopy-bandwidth", "1Gbit")).Fails("nothing is pushed after the switchover");
        (await source.CliAsync("migration", "set", id, "--bandwidth", "100")).Fails("500MiB/s or 1Gbit");

        // What the guest writes in a round would be enough for minutes of rounds; in one of the limits it is little.
        CommandResult set = await source.CliAsync("migration", "set", id, "--downtime-limit", "20s", "--bandwidth", "unlimited");
        Assert.Contains("bandwidth unlimited", set.Succeeds().Output, StringComparison.Ordinal);
        Assert.Contains("downtime-limit 20,000 ms", set.Output, StringComparison.Ordinal);
        Migration ended = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(ended.State == MigrationState.Completed, ended.Reason);

        (await source.CliAsync("migration", "set", id, "--bandwidth", "1Gbit")).Fails("it has ended");
        await destination.GuestIsWellAsync("g");
    }

    /// <summary>What the destination has of what was sent without waiting, at most: a page that came twice was asked for once.</summary>
    private static async Task<ulong> UrgentBytesAsync(DaemonProcess destination, string id)
    {
        // It knows the migration once it has prepared.
        PlacementCounters? placed = (await destination.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations
            .SingleOrDefault(one => one.Id == id)?.Placement;
        return placed is null ? 0 : (placed.PagesUrgent + placed.PagesRedundant) * 4200;
    }

    private static async Task<string> BeginAsync(
        DaemonProcess source, DaemonProcess destination, MigrationMode mode, Action<MigrateRequest> with)
    {
        var request = new MigrateRequest { Guest = "g", To = destination.Listen, Mode = mode };
        with(request);
        return (await source.Calls.MigrateAsync(request)).Id;
    }
}
