using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>Guests that write their whole working set in each round of precopy, over a link on which that takes longer than they may stand.</summary>
public sealed class AutoConvergeTests
{
    private const string Memory = "32MiB";
    private const string WorkingSet = "24MiB";

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData("kvm", 150)]
    [InlineData("workload", 400)]
    public async Task A_guest_that_is_held_back_converges(string kind, uint downtimeMs)
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, Memory, WorkingSet, vcpus: 1);
        string id = await BeginAsync(source, destination, autoConverge: true, downtimeMs);

        await source.MigrationUntilAsync(id, one => one.Precopy?.CpuThrottlePercentage > 0);
        for (int look = 0; look < 50; look++)
        {
            // Whatever moment is looked at: a guest that is held back runs, and is not paused.
            Protocol.V1.Guest guest = await source.GuestAsync("g");
            Assert.True(guest.State is GuestState.Running or GuestState.Migrated, guest.ToString());
        }

        Migration ended = await source.MigrationUntilAsync(id, one => one.State is MigrationState.Completed or MigrationState.Failed);
        Assert.True(ended.State == MigrationState.Completed, ended.ToString());
        Assert.InRange(ended.Precopy.CpuThrottlePercentage, 20U, 99U);
        Assert.Equal(0UL, ended.Placement.FaultsRequested);
        CommandResult show = (await source.CliAsync("migration", "show", id, "--json")).Succeeds();
        Assert.Equal(ended.Precopy.CpuThrottlePercentage, (uint)show.Json["queryMigrate"]!["cpu-throttle-percentage"]!);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task A_guest_is_let_go_when_its_migration_is_cancelled()
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        // A round takes a second at least, as half of what it sends is more than a limit lets through at once, and needs few writes to be in
        // vain: the guest is held back, and not done before the order comes, even on a machine that is busy with something else.
        await source.CreateGuestAsync("g", "kvm", "8MiB", "4MiB", vcpus: 1);
        string id = await BeginAsync(source, destination, autoConverge: true, downtimeMs: 1, bandwidth: 2 << 20);
        await source.MigrationUntilAsync(id, one => one.Precopy?.CpuThrottlePercentage > 0);

        // By a call: a command takes longer to start on a busy machine than the guest to converge.
        await source.Calls.CancelMigrationAsync(new CancelMigrationRequest { Id = id });
        await source.GuestIsWellAsync("g");
        await destination.GuestsUntilAsync(guests => guests.Count == 0);
    }

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task Nobody_is_held_back_without_being_asked_to()
    {
        await using var source = await DaemonProcess.StartAsync("source");
        await using var destination = await DaemonProcess.StartAsync("destination");
        // As for the one that is cancelled: only a guest that is held back converges.
        await source.CreateGuestAsync("g", "kvm", "8MiB", "4MiB", vcpus: 1);
        (await source.CliAsync("migrate", "g", "--to", destination.Listen, "--auto-converge")).Fails("--mode precopy");
        string id = await BeginAsync(source, destination, autoConverge: false, downtimeMs: 1, bandwidth: 2 << 20);

        Migration third = await source.MigrationUntilAsync(id, one => one.Precopy?.Rounds >= 3);
        Assert.Equal(0U, third.Precopy.CpuThrottlePercentage);
        (await source.CliAsync("migration", "cancel", id)).Succeeds();
        await source.GuestIsWellAsync("g");
    }

    private static async Task<string> BeginAsync(
        DaemonProcess source, DaemonProcess destination, bool autoConverge, uint downtimeMs, ulong bandwidth = 32 << 20) =>
        (await source.Calls.MigrateAsync(new MigrateRequest
            {
                Guest = "g",
                To = destination.Listen,
                Mode = MigrationMode.Precopy,
                AutoConverge = autoConverge,
                Bandwidth = bandwidth,
                DowntimeLimitMs = downtimeMs,
                MaxRounds = 200,
            })).Id;
}
