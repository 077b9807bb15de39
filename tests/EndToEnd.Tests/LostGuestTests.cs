using System.Diagnostics;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What a daemon knows of the guests of the one before it: they end with its process, and must not be forgotten with it.</summary>
public sealed class LostGuestTests : IDisposable
{
    private const Needs Hosts = Needs.Userfaultfd | Needs.Kvm | Needs.NetworkNamespaces;

    // 64 MiB take half a minute: there is time to do something while pages are missing.
    private const string Rate = "20mbit";

    private readonly Scratch _states = new();

    public void Dispose() => _states.Dispose();

    [Fact]
    public async Task Guests_of_a_daemon_that_was_killed_are_lost_until_somebody_deletes_them()
    {
        await using (DaemonProcess daemon = await StartAsync("node"))
        {
            await daemon.CreateGuestAsync("one", "workload", "8MiB", "4MiB");
            await daemon.CreateGuestAsync("two", "workload", "8MiB", "4MiB");
            await daemon.CreateGuestAsync("deleted", "workload", "8MiB", "4MiB");
            (await daemon.CliAsync("guest", "delete", "deleted")).Succeeds();
            await daemon.KillAsync();
        }

        string first;
        await using (DaemonProcess daemon = await StartAsync("node"))
        {
            IReadOnlyList<GuestMessage> guests = await daemon.GuestsAsync();
            Assert.Equal(["one", "two"], guests.Select(guest => guest.Spec.Name));
            Assert.All(guests, guest => Assert.Equal(GuestState.Failed, guest.State));
            Assert.All(guests, guest => Assert.StartsWith("lost: the daemon that had it was last seen alive at ", guest.Failure));
            Assert.Equal(8UL << 20, guests[0].Spec.MemoryBytes);
            await daemon.LogUntilAsync("Guest one: lost: ");
            first = guests[0].Failure;

            CommandResult show = await daemon.CliAsync("guest", "show", "one");
            Assert.Contains("lost: ", show.Succeeds().Output, StringComparison.Ordinal);
            foreach (string command in (string[])["resume", "pause", "console", "hash"])
            {
                (await daemon.CliAsync("guest", command, "one")).Fails("lost: ", "last seen alive");
            }

            (await daemon.CliAsync("migrate", "one", "--to", daemon.Listen)).Fails("lost: ");
            (await CreateAsync(daemon, "one")).Fails("ended with a daemon before this one", "guest delete one");
            await daemon.KillAsync();
        }

        await using (DaemonProcess daemon = await StartAsync("node"))
        {
            // Another death is no news of this guest.
            Assert.Equal(first, (await daemon.GuestAsync("one")).Failure);
            (await daemon.CliAsync("guest", "delete", "one")).Succeeds();
            await daemon.CreateGuestAsync("one", "workload", "8MiB", "4MiB");
            Assert.Equal(["one Running", "two Failed"], (await daemon.GuestsAsync()).Select(guest => $"{guest.Spec.Name} {guest.State}"));
        }
    }

    [Fact]
    public async Task Guests_of_a_daemon_that_was_stopped_ended_by_the_stop()
    {
        await using (DaemonProcess daemon = await StartAsync("node"))
        {
            await daemon.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            Assert.Equal(0, await daemon.StopAsync());
        }

        await using DaemonProcess after = await StartAsync("node");
        GuestMessage guest = await after.GuestAsync("g");
        Assert.Equal(GuestState.Failed, guest.State);
        Assert.StartsWith("ended by a stop: the daemon that had it was stopped in order at ", guest.Failure);
        (await after.CliAsync("guest", "delete", "g")).Succeeds();
        Assert.Equal(0, await after.StopAsync());
        await using DaemonProcess last = await StartAsync("node");
        Assert.Empty(await last.GuestsAsync());
    }

    [MachineFact(Hosts)]
    public async Task A_destination_that_was_killed_says_where_the_pages_are_and_takes_the_guest_again()
    {
        using var network = NetworkPair.Create(Rate);
        await using DaemonProcess source = await StartAsync("source", network.One.Enter, "--link-timeout", "2s");
        string id;
        string[] addresses;
        await using (DaemonProcess destination = await StartAsync("destination", network.Two.Enter))
        {
            addresses = ["--listen", destination.Listen, "--lanes", destination.Lanes];
            await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
            id = await source.BeginMigrationAsync("g", destination);
            await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 1000);
            await destination.KillAsync();
        }

        await using DaemonProcess again = await StartAsync("destination", start => SetAddresses(network.Two, start, addresses));
        GuestMessage lost = await again.GuestAsync("g");
        Assert.Equal(GuestState.Failed, lost.State);
        Assert.Equal(id, lost.MigrationId);
        Assert.StartsWith("lost: ", lost.Failure);
        Assert.Contains("pages of it were still on source", lost.Failure, StringComparison.Ordinal);
        Assert.Contains($"migrationd migration resolve {id} --resume-here", lost.Failure, StringComparison.Ordinal);

        await source.MigrationUntilAsync(id, now => now.Reason.Contains("does not have the guest any more", StringComparison.Ordinal));
        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Succeeds();
        await source.GuestIsWellAsync("g");
        network.Shape(null);
        await source.MigrateAsync("g", again);

        await again.GuestIsWellAsync("g");
        await again.LogUntilAsync("replaces what was known of one of that name: lost: ");
    }

    [MachineFact(Hosts)]
    public async Task A_source_that_was_killed_in_postcopy_says_where_its_guest_runs()
    {
        using var network = NetworkPair.Create(Rate);
        await using DaemonProcess destination = await StartAsync(
            "destination", network.Two.Enter, "--link-timeout", "2s", "--recovery-timeout", "1s");
        string id;
        await using (DaemonProcess source = await StartAsync("source", network.One.Enter))
        {
            await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
            id = await source.BeginMigrationAsync("g", destination);
            await source.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 1000);
            await source.KillAsync();
        }

        await using DaemonProcess again = await StartAsync("source", network.One.Enter);
        GuestMessage away = await again.GuestAsync("g");
        Assert.Equal(GuestState.Failed, away.State);
        Assert.Equal(id, away.MigrationId);
        Assert.Contains($"By migration {id} it has run at {destination.Listen} since ", away.Failure, StringComparison.Ordinal);
        await destination.GuestUntilAsync("g", guest => guest.State == GuestState.Failed);
    }

    [MachineTheory(Needs.Userfaultfd)]
    // Before the handover, and with it: the source's daemon cannot tell them apart afterwards.
    [InlineData("source.lanes")]
    [InlineData("source.pause")]
    [InlineData("source.run-before")]
    public async Task A_source_that_dies_while_a_guest_leaves_says_where_it_may_be(string step)
    {
        await using DaemonProcess destination = await StartAsync("destination", "--link-timeout", "2s");
        await using (DaemonProcess source = await StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = $"{step}:kill"))
        {
            await source.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            await source.OrderMigrationAsync("g", destination);
            await source.ExitAsync();
        }

        await using DaemonProcess again = await StartAsync("source");
        GuestMessage guest = await again.GuestAsync("g");
        Assert.Equal(GuestState.Failed, guest.State);
        Assert.Contains(
            $"was moving it to {destination.Listen}; what was here is gone. It may run there", guest.Failure, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_destination_that_dies_before_the_guest_runs_there_has_lost_nothing()
    {
        await using DaemonProcess source = await StartAsync("source", "--link-timeout", "2s");
        await using (DaemonProcess destination = await StartAsync(
            "destination", start => start.Environment["MIGRATIOND_FAULT"] = "destination.loaded:wait"))
        {
            await source.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            string id = await source.BeginMigrationAsync("g", destination);
            // What is noted of a guest that comes is written a moment later, and nobody waits for that.
            string noted = Path.Combine(_states.PathOf("destination"), "guests", "g.json");
            await destination.UntilAsync(() => Task.FromResult(File.Exists(noted)), () => $"there is no {noted}");
            await destination.KillAsync();
            await source.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
        }

        await source.GuestIsWellAsync("g");
        await using DaemonProcess again = await StartAsync("destination");
        Assert.Empty(await again.GuestsAsync());
        await again.LogUntilAsync("Guest g was to come from source in migration ");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_report_is_back_when_the_guest_that_was_to_replace_it_does_not_come()
    {
        await using (DaemonProcess daemon = await StartAsync("destination"))
        {
            await daemon.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            await daemon.KillAsync();
        }

        string lost;
        await using (DaemonProcess destination = await StartAsync("destination"))
        await using (DaemonProcess source = await StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = "source.lanes:throw"))
        {
            lost = (await destination.GuestAsync("g")).Failure;
            await source.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            string id = await source.BeginMigrationAsync("g", destination);
            await source.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
            await destination.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);

            Assert.Equal(lost, (await destination.GuestAsync("g")).Failure);
            await destination.KillAsync();
        }

        await using DaemonProcess again = await StartAsync("destination");
        Assert.Equal(lost, (await again.GuestAsync("g")).Failure);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Guests_that_have_moved_are_no_loss_of_their_source()
    {
        await using DaemonProcess destination = await StartAsync("destination");
        await using (DaemonProcess source = await StartAsync("source"))
        {
            await source.CreateGuestAsync("g", "workload", "8MiB", "4MiB");
            await source.MigrateAsync("g", destination);
            await source.KillAsync();
        }

        await using DaemonProcess again = await StartAsync("source");
        Assert.Empty(await again.GuestsAsync());
        await destination.KillAsync();
        await using DaemonProcess there = await StartAsync("destination");
        Assert.Contains("had been here since", (await there.GuestAsync("g")).Failure, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_has_one_daemon()
    {
        await using DaemonProcess daemon = await StartAsync("node");
        using Process second = Process.Start(ProgramUnderTest.Start(
            ["serve", "--listen", "127.0.0.1:0", "--lanes", "127.0.0.1:0", "--control", _states.PathOf("second.sock"), "--until-input-ends",
                "--state", _states.PathOf("node"), "--config", daemon.ConfigFile]))!;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        string error = await second.StandardError.ReadToEndAsync(deadline.Token);
        await second.WaitForExitAsync(deadline.Token);

        Assert.Equal(1, second.ExitCode);
        Assert.Contains("another daemon keeps its own there", error, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_journal_that_cannot_be_written_stops_nothing_but_new_guests()
    {
        await using DaemonProcess destination = await StartAsync("destination");
        await using DaemonProcess source = await StartAsync("source");
        await source.CreateGuestAsync("goes", "workload", "8MiB", "4MiB");
        await source.CreateGuestAsync("stays", "workload", "8MiB", "4MiB");
        string guests = Path.Combine(_states.PathOf("source"), "guests");
        Directory.Move(guests, guests + ".away");

        (await CreateAsync(source, "new")).Fails("guest 'new' is not created: its loss could not be reported", guests);
        await source.LogUntilAsync("cannot be written");
        await source.MigrateAsync("goes", destination);
        await source.GuestIsWellAsync("stays");
        await destination.GuestIsWellAsync("goes");

        Directory.Move(guests + ".away", guests);
        await source.CreateGuestAsync("new", "workload", "8MiB", "4MiB");
        await source.LogUntilAsync("is written again, and complete");
        await source.KillAsync();
        await using DaemonProcess again = await StartAsync("source");
        Assert.Equal(["new", "stays"], (await again.GuestsAsync()).Select(guest => guest.Spec.Name));
    }

    private static Task<CommandResult> CreateAsync(DaemonProcess daemon, string name) =>
        daemon.CliAsync("guest", "create", name, "--kind", "workload", "--memory", "8MiB", "--working-set", "4MiB");

    private static void SetAddresses(NetworkHost host, ProcessStartInfo start, string[] addresses)
    {
        host.Enter(start);
        foreach ((string option, string address) in addresses.Chunk(2).Select(pair => (pair[0], pair[1])))
        {
            start.ArgumentList[start.ArgumentList.IndexOf(option) + 1] = address;
        }
    }

    private Task<DaemonProcess> StartAsync(string node, params string[] options) => StartAsync(node, _ => { }, options);

    private Task<DaemonProcess> StartAsync(string node, Action<ProcessStartInfo> prepare, params string[] options) =>
        DaemonProcess.StartAsync(node, prepare, ["--state", _states.PathOf(node), "--log-format", "text", .. options]);
}
