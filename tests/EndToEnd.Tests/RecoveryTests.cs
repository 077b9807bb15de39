using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Links that break while pages are missing, between daemons on two network hosts.</summary>
public sealed class RecoveryTests
{
    private const Needs Hosts = Needs.Userfaultfd | Needs.Kvm | Needs.NetworkNamespaces;
    private const long Memory = 96L << 20;

    // 64 MiB take three seconds: there is time to break the link while pages are missing.
    private const int Megabits = 200;

    [MachineTheory(Hosts)]
    [InlineData(LinkFault.Down, "workload")]
    [InlineData(LinkFault.Silent, "kvm")]
    [InlineData(LinkFault.Reset, "workload")]
    [InlineData(LinkFault.UrgentLane, "kvm")]
    [InlineData(LinkFault.PushLane, "workload")]
    public async Task ALostLinkIsRestoredWithoutAnOperator(LinkFault fault, string kind)
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One);
        await using DaemonProcess destination = await StartAsync("destination", network.Two);
        await source.CreateGuestAsync("g", kind, "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 4000);

        network.Cut(fault, destination);
        await source.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyPaused || now.Recoveries > 0);
        network.Heal();

        await EndsWellAsync(source, destination, id, recoveries: 1);
    }

    [MachineFact(Hosts)]
    public async Task APausedGuestHasTheSameMemoryAfterThreeCuts()
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One);
        await using DaemonProcess destination = await StartAsync("destination", network.Two);
        await source.CreateGuestAsync("g", "workload", "96MiB", "80MiB");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");
        string id = await source.BeginMigrationAsync("g", destination);
        ulong pages = 0;
        foreach (LinkFault fault in (LinkFault[])[LinkFault.Reset, LinkFault.Down, LinkFault.Silent])
        {
            pages = (await destination.MigrationUntilAsync(
                id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > pages + 2000)).PagesReceived;
            network.Cut(fault, destination);
            await source.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyPaused);
            network.Heal();
        }

        await EndsAsync(source, destination, id, recoveries: 3);
        Assert.Equal(before, await destination.HashAsync("g"));
    }

    [MachineFact(Hosts)]
    public async Task ADestinationThatLivesIsReachedAgainOnAnOperatorsOrder()
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One, "--recovery-timeout", "1s");
        await using DaemonProcess destination = await StartAsync("destination", network.Two);
        await source.CreateGuestAsync("g", "workload", "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 4000);
        network.Cut(LinkFault.Down, destination);
        await source.MigrationUntilAsync(id, now => now.Reason.Contains("migration recover", StringComparison.Ordinal));

        // The destination may run the guest, and nobody has said otherwise.
        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Fails("--force", "does not answer");
        network.Heal();
        (await source.CliAsync("migration", "resolve", id, "--resume-here", "--force")).Fails("must not run twice");

        (await source.CliAsync("migration", "recover", id)).Succeeds();
        await EndsWellAsync(source, destination, id, recoveries: 1);
    }

    [MachineFact(Hosts)]
    public async Task ADestinationThatWasRestartedIsKnownAndTheGuestGoesOnAtTheSource()
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One);
        string id;
        await using (DaemonProcess destination = await StartAsync("destination", network.Two))
        {
            await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
            id = await source.BeginMigrationAsync("g", destination);
            await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 4000);
            await destination.KillAsync();
        }

        await using DaemonProcess again = await StartAsync("destination", network.Two);
        await source.MigrationUntilAsync(id, now => now.Reason.Contains("--resume-here", StringComparison.Ordinal));
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);

        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Succeeds();
        await source.GuestIsWellAsync("g");
        Assert.Empty(await again.GuestsAsync());
    }

    [MachineFact(Hosts)]
    public async Task AGuestWhoseSourceIsGoneStandsStillAndIsSaidToBeLost()
    {
        using var network = NetworkPair.Create(Megabits);
        using var scratch = new Scratch();
        await using DaemonProcess source = await StartAsync("source", network.One);
        await using DaemonProcess destination = await StartAsync("destination", network.Two, "--recovery-timeout", "1s");
        await source.CreateGuestAsync("g", "workload", "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 4000);

        await source.KillAsync();

        (await destination.CliAsync("migration", "watch", id)).Fails("pages of guest 'g' are lost", "guest dump");
        Migration lost = await destination.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
        Assert.InRange(lost.PagesLost, 1UL, (ulong)(Memory / 4096) - 4000);
        GuestReport before = (await destination.GuestUntilAsync("g", guest => guest.State == GuestState.Failed)).Report;
        (await destination.CliAsync("guest", "resume", "g")).Fails("lost");
        (await destination.CliAsync("guest", "hash", "g")).Fails("lost");

        string image = scratch.PathOf("image");
        long missing = (long)(await destination.CliAsync("guest", "dump", "g", image, "--json")).Succeeds().Json["pagesMissing"]!;
        Assert.Equal((long)lost.PagesLost, missing);
        Assert.Equal(Memory, new FileInfo(image).Length);
        Assert.Equal(missing, File.ReadLines(image + ".missing").Sum(line => long.Parse(line.Split(' ')[1], null)));

        Assert.Equal(before.Steps, (await destination.GuestAsync("g")).Report.Steps);
        (await destination.CliAsync("guest", "delete", "g")).Succeeds();
        Assert.Empty(await destination.GuestsAsync());
        await destination.CreateGuestAsync("g", "workload", "16MiB", "8MiB");
    }

    [MachineFact(Hosts)]
    public async Task ADaemonThatIsStoppedFinishesItsMigrationFirst()
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One);
        await using DaemonProcess destination = await StartAsync("destination", network.Two);
        await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive);

        Assert.Equal(0, await source.StopAsync());

        Migration migration = await destination.MigrationUntilAsync(id, now => now.State == MigrationState.Completed);
        Assert.Equal(0UL, (ulong)migration.Recoveries);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Hosts)]
    public async Task CancelStopsBeforeTheSwitchoverAndIsRefusedAfterIt()
    {
        using var network = NetworkPair.Create(Megabits);
        await using DaemonProcess source = await StartAsync("source", network.One);
        await using DaemonProcess destination = await StartAsync("destination", network.Two);
        await source.CreateGuestAsync("g", "workload", "96MiB", "64MiB");

        destination.Signal(Stop);
        string id = await source.BeginMigrationAsync("g", destination);
        (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Fails(id);
        (await source.CliAsync("migration", "cancel", id)).Succeeds();
        await source.GuestIsWellAsync("g");
        destination.Signal(Continue);
        await destination.GuestsUntilAsync(guests => guests.Count == 0);

        id = await source.BeginMigrationAsync("g", destination);
        await source.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive);
        (await source.CliAsync("migration", "cancel", id)).Fails("only one of the two may ever run it");
        await EndsWellAsync(source, destination, id, recoveries: 0);
        (await source.CliAsync("migration", "cancel", id)).Fails("it has ended");
    }

    private const int Stop = 19;
    private const int Continue = 18;

    private static Task<DaemonProcess> StartAsync(string node, NetworkHost host, params string[] options) =>
        DaemonProcess.StartAsync(node, host, 7461, ["--link-timeout", "2s", .. options]);

    private static async Task EndsWellAsync(DaemonProcess source, DaemonProcess destination, string id, uint recoveries)
    {
        await EndsAsync(source, destination, id, recoveries);
        await destination.GuestIsWellAsync("g");
    }

    private static async Task EndsAsync(DaemonProcess source, DaemonProcess destination, string id, uint recoveries)
    {
        Migration there = await destination.MigrationUntilAsync(id, now => now.State == MigrationState.Completed);
        Migration here = await source.MigrationUntilAsync(id, now => now.State == MigrationState.Completed);
        Assert.True(here.Recoveries >= recoveries && there.Recoveries >= recoveries, $"{here}\n{there}");
        Assert.Equal(there.PagesTotal, there.Placement.PagesUrgent + there.Placement.PagesPush + there.Placement.PagesZero);
        // What was on its way when the link broke is sent again, and not what had come: that fits into a few socket buffers.
        Assert.InRange(here.BytesSent, 1UL, (ulong)Memory + ((recoveries + 1) * (16UL << 20)));
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);
    }
}
