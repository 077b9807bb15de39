using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Precopy;

/// <summary>Guests that check themselves move while they write: by precopy alone, and by precopy and then post-copy.</summary>
public sealed class PrecopyTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const Needs Hosts = Host | Needs.NetworkNamespaces;

    [MachineTheory(Host)]
    [InlineData("kvm", "uniform", MigrationMode.Hybrid)]
    [InlineData("kvm", "sequential", MigrationMode.Hybrid)]
    [InlineData("kvm", "zipf", MigrationMode.Precopy)]
    [InlineData("workload", "zipf", MigrationMode.Hybrid)]
    [InlineData("workload", "uniform", MigrationMode.Precopy)]
    [InlineData("workload", "sequential", MigrationMode.Precopy)]
    public async Task A_guest_that_writes_goes_there_and_back(string kind, string pattern, MigrationMode mode)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB", pattern: pattern);

        Migration there = await MoveAsync(source, destination, mode);
        await destination.GuestIsWellAsync("g");
        Migration back = await MoveAsync(destination, source, mode);
        await source.GuestIsWellAsync("g");

        Assert.All([there, back], migration =>
        {
            Assert.Equal(mode, migration.Mode);
            Assert.True(migration.Precopy.Rounds >= 1, migration.ToString());
            Assert.NotEmpty(migration.Precopy.Ended);
            PlacementCounters placed = migration.Placement;
            Assert.Equal(
                migration.PagesTotal, placed.PagesUrgent + placed.PagesPush + placed.PagesZero - placed.PagesForgotten);
        });
    }

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task After_precopy_alone_the_guest_waits_for_no_page(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB");

        Migration migration = await MoveAsync(source, destination, MigrationMode.Precopy);

        Assert.Equal(0UL, migration.Placement.FaultsRequested);
        Assert.Equal(0UL, migration.Placement.PagesForgotten);
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Host)]
    [InlineData(MigrationMode.Precopy)]
    [InlineData(MigrationMode.Hybrid)]
    public async Task A_paused_guest_is_the_same_to_the_last_byte(MigrationMode mode)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "20MiB");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");

        Migration migration = await source.MigrateAsync("g", destination, mode);

        Assert.Equal(1U, migration.Precopy.Rounds);
        Assert.Equal("nothing was written since the last round", migration.Precopy.Ended);
        Assert.Equal(before, await destination.HashAsync("g"));
    }

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task An_operator_ends_precopy(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen, MigrationMode.Hybrid);
        // The first round would take more than half a minute, and what follows it does not.
        order.Bandwidth = 1 << 20;
        order.PostcopyBandwidth = 1 << 30;
        string id = (await source.Calls.MigrateAsync(order)).Id;
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive);
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive);

        (await source.CliAsync("migration", "start-postcopy", id)).Succeeds();

        // What had not gone over follows.
        Migration migration = await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Assert.Equal("an operator ordered the switchover", migration.Precopy.Ended);
        Assert.Equal(1U, migration.Precopy.Rounds);
        Assert.InRange(migration.Precopy.PagesSent, 0UL, migration.PagesTotal - 1);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Hosts)]
    public async Task Precopy_that_does_not_get_there_leaves_the_guest_where_it_is_or_moves_it_as_told_to()
    {
        using NetworkPair network = NetworkPair.Create("30mbit");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        // It writes faster than 30 Mbit/s carry, even on a machine that has little time for it.
        await source.CreateGuestAsync("g", "workload", "8MiB", "4MiB", pattern: "sequential");
        string[] order = ["migrate", "g", "--to", destination.Listen, "--mode", "precopy", "--max-rounds", "2", "--downtime-limit", "1ms"];

        (await source.CliAsync(order)).Fails("precopy gives up: all 2 rounds are used up", "--timeout-strategy", "--mode hybrid");
        await source.GuestIsWellAsync("g");
        await destination.GuestsUntilAsync(guests => guests.Count == 0);

        (await source.CliAsync([.. order, "--timeout-strategy", "continue"])).Succeeds();
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Hosts)]
    public async Task Precopy_that_takes_too_long_is_ended_in_the_middle_of_a_round()
    {
        using NetworkPair network = NetworkPair.Create("100mbit");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB");

        (await source.CliAsync("migrate", "g", "--to", destination.Listen, "--precopy-timeout", "2s")).Succeeds();

        Migration migration = (await source.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations.Single();
        Assert.Equal(1U, migration.Precopy.Rounds);
        Assert.InRange(migration.Precopy.PagesSent, 1UL, migration.PagesTotal - 1);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Cancelled_in_precopy_nothing_is_left_of_it()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", Wait("source.forget"));
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "40MiB");
        string id = await source.BeginMigrationAsync("g", destination, MigrationMode.Hybrid);
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive && one.Precopy?.Rounds > 0);

        await source.Calls.CancelMigrationAsync(new CancelMigrationRequest { Id = id });
        source.GoOn();

        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Cancelled);
        await source.GuestIsWellAsync("g");
        await destination.GuestsUntilAsync(guests => guests.Count == 0);
        // It can be moved again: nothing of the dirty log is left either.
        await source.MigrateAsync("g", destination, MigrationMode.Hybrid);
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData("kvm", "link", MigrationMode.Hybrid)]
    [InlineData("workload", "reset", MigrationMode.Precopy)]
    [InlineData("kvm", "drop", MigrationMode.Precopy)]
    public async Task A_link_that_is_lost_in_precopy_is_dialled_again_and_the_guest_feels_nothing(string kind, string cut, MigrationMode mode)
    {
        // A round takes ten seconds at first: it is not over when the link is cut.
        using NetworkPair network = NetworkPair.Create("20mbit");
        string[] options = ["--link-timeout", "2s"];
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter, options);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter, options);
        await source.CreateGuestAsync("g", kind, "32MiB", "24MiB", pattern: "zipf");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen, mode);
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        order.MaxRounds = 3;
        string id = (await source.Calls.MigrateAsync(order)).Id;
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive && one.PagesReceived > 500);

        (Action begin, Action end) = cut switch
        {
            "link" => ((Action)network.LinkDown, (Action)network.LinkUp),
            "drop" => (network.StartDropping, network.StopDropping),
            _ => (network.StartResetting, network.StopResetting),
        };
        begin();
        Migration again = await source.MigrationUntilAsync(id, one => one.State == MigrationState.Setup);
        Assert.Contains("the guest goes on here", again.Reason, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(GuestState.Running, (await source.GuestAsync("g")).State);
        network.Shape("100mbit");
        end();

        Migration ended = await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Assert.True(ended.Recoveries >= 1, ended.ToString());
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_destination_that_dies_in_precopy_costs_the_guest_nothing()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", Wait("source.forget"), "--recovery-timeout", "2s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "40MiB");
        string id = await source.BeginMigrationAsync("g", destination, MigrationMode.Hybrid);
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive && one.Precopy?.Rounds > 0);

        await destination.KillAsync();
        source.GoOn();

        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Failed);
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task A_source_that_dies_in_precopy_leaves_nothing_on_the_destination()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", Wait("source.forget"));
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "40MiB");
        string id = await source.BeginMigrationAsync("g", destination, MigrationMode.Hybrid);
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive && one.Precopy?.Rounds > 0);

        await source.KillAsync();

        await destination.GuestsUntilAsync(guests => guests.Count == 0);
    }

    private static async Task<Migration> MoveAsync(DaemonProcess from, DaemonProcess to, MigrationMode mode)
    {
        MigrateRequest order = DaemonProcess.Order("g", to.Listen, mode);
        // However busy the machine is that the test runs on.
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        string id = (await from.Calls.MigrateAsync(order)).Id;
        return await from.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
    }

    /// <summary>A source that comes no further than to this step until it is told to go on.</summary>
    private static Action<System.Diagnostics.ProcessStartInfo> Wait(string step) => start =>
        start.Environment["MIGRATIOND_FAULT"] = $"{step}:wait";
}
