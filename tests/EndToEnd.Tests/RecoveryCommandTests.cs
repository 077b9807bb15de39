using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What an operator does when a migration breaks, and what every command then says.</summary>
public sealed class RecoveryCommandTests
{
    private const Needs Host = Needs.Userfaultfd;
    private const int Refused = 5;
    private const int Kill = 9;
    private const int Terminate = 15;
    private const int Continue = 18;
    private const int Stop = 19;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [MachineFact(Host)]
    public async Task Before_the_switchover_a_second_migration_is_refused_and_the_first_can_be_cancelled()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "60s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "16MiB");
        destination.Signal(Stop);
        Migration migration = await BeginAsync(source, destination, "g");

        CommandResult second = (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Fails(migration.Id, "moving it away");
        Assert.Equal(Refused, second.ExitCode);
        Assert.Equal(1, Occurrences(second.Error, "migrate guest"));
        (await source.CliAsync("guest", "delete", "g")).Fails(migration.Id);

        CommandResult cancel = (await source.CliAsync("migration", "cancel", migration.Id)).Succeeds();
        Assert.Contains("stays on this host", cancel.Output, StringComparison.Ordinal);
        (await source.CliAsync("migration", "watch", migration.Id)).Fails("cancelled", "operator");
        Assert.Equal(Refused, (await source.CliAsync("migration", "cancel", migration.Id)).Fails("has ended").ExitCode);
        await source.GuestIsWellAsync("g");
        Assert.Empty((await source.GuestAsync("g")).MigrationId);

        destination.Signal(Continue);
        // What the stopped daemon still finds in its socket is given up at once: the name is free long before a forgotten session would end.
        await UntilAsync(
            async () => (await destination.GuestsAsync()).Count == 0
                && (await source.CliAsync("migrate", "g", "--to", destination.Listen)).ExitCode == 0,
            Deadline,
            () => destination.Log);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task After_the_switchover_nothing_is_cancelled_and_a_lost_link_is_restored_by_command()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s", "--recovery-timeout", "1s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        Migration migration = await HoldInPostcopyAsync(source, destination, destination);

        CommandResult cancel = (await source.CliAsync("migration", "cancel", migration.Id)).Fails("given to the destination");
        Assert.Equal(Refused, cancel.ExitCode);

        await UntilAsync(source, migration.Id, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));
        CommandResult failed = (await source.CliAsync("migration", "recover", migration.Id, "--json")).Fails("was not reached", migration.Id);
        Assert.Equal((1, "postcopy-paused"), (failed.ExitCode, (string?)failed.Json["state"]));

        CommandResult recovered = await RecoverAsync(source, migration.Id, destination);
        Assert.Contains(migration.Id, recovered.Output, StringComparison.Ordinal);
        (await source.CliAsync("migration", "watch", migration.Id)).Succeeds();
        JsonNode shown = (await source.CliAsync("migration", "show", migration.Id, "--json")).Succeeds().Json;
        Assert.Equal("completed", (string?)shown["state"]);
        Assert.InRange((ulong)shown["recoveries"]!, 1UL, 100UL);
        Assert.Equal(0UL, (ulong)shown["pagesLost"]!);
        await destination.GuestIsWellAsync("g");
    }

    /// <summary>A healthy daemon answers there, and does not have the guest, which runs elsewhere: no reason to let it run here as well.</summary>
    [MachineFact(Host)]
    public async Task That_a_stranger_at_a_mistyped_address_does_not_have_the_guest_says_nothing()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s", "--recovery-timeout", "2s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await using DaemonProcess stranger = await DaemonProcess.StartAsync("stranger");
        string id = (await HoldInPostcopyAsync(source, destination, destination)).Id;
        await UntilAsync(source, id, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));

        await source.Calls.RecoverMigrationAsync(new RecoverMigrationRequest { Id = id, To = stranger.Listen });
        Migration told = await UntilAsync(
            source, id, one => one.Reason.Contains("knows nothing of this migration", StringComparison.Ordinal));
        Assert.Contains(stranger.Listen, told.Reason, StringComparison.Ordinal);
        Assert.DoesNotContain("--resume-here", told.Reason, StringComparison.Ordinal);
        Assert.Equal((MigrationState.PostcopyPaused, destination.Listen), (told.State, told.Peer));

        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Fails(destination.Listen, "does not answer", "--force");
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);

        // Without an address it is dialled where it was.
        await RecoverAsync(source, id, destination);
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task When_the_destination_is_gone_an_operator_lets_the_guest_go_on_at_the_source()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s", "--recovery-timeout", "1s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        Migration migration = await HoldInPostcopyAsync(source, destination, destination);
        destination.Signal(Kill);

        await UntilAsync(source, migration.Id, one => one.Reason.Contains("--resume-here", StringComparison.Ordinal));
        JsonNode shown = (await source.CliAsync("migration", "show", migration.Id, "--json")).Succeeds().Json;
        Assert.Equal("postcopy-paused", (string?)shown["state"]);
        Assert.Equal("migrated", (string?)(await source.CliAsync("guest", "show", "g", "--json")).Succeeds().Json["state"]);
        (await source.CliAsync("guest", "resume", "g")).Fails(migration.Id);
        (await source.CliAsync("guest", "delete", "g")).Fails(migration.Id);

        CommandResult refused = (await source.CliAsync("migration", "resolve", migration.Id, "--resume-here"))
            .Fails("does not answer", "--force", "WARNING");
        Assert.Equal(Refused, refused.ExitCode);
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);

        CommandResult resolved = (await source.CliAsync("migration", "resolve", migration.Id, "--resume-here", "--force")).Succeeds();
        Assert.Contains("all that the guest did after the switchover is lost", resolved.Error, StringComparison.Ordinal);
        Assert.Contains("as it was at the switchover", resolved.Output, StringComparison.Ordinal);
        await source.GuestIsWellAsync("g");
        (await source.CliAsync("migration", "watch", migration.Id)).Fails("failed", "operator");
    }

    [MachineFact(Host)]
    public async Task A_destination_that_was_restarted_says_itself_that_the_guest_is_gone()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s", "--recovery-timeout", "1s");
        // At an address of its own, where nobody else is given its port while it is away.
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", "--listen", "127.0.12.1:0");
        Migration migration = await HoldInPostcopyAsync(source, destination, destination);
        destination.Signal(Kill);
        await UntilAsync(source, migration.Id, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));

        await using DaemonProcess restarted = await DaemonProcess.StartAsync("destination", "--listen", destination.Listen);
        CommandResult recover = await OrderUntilAsync(
            source, order => !order.Error.Contains("was not reached", StringComparison.Ordinal), "migration", "recover", migration.Id);
        recover.Fails(restarted.Listen, "does not have the guest any more", "--resume-here");
        (await source.CliAsync("migration", "resolve", migration.Id, "--resume-here")).Succeeds();
        await source.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task When_the_source_is_gone_the_guest_stands_still_and_what_is_here_can_be_saved()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", "--recovery-timeout", "1s");
        Migration migration = await HoldInPostcopyAsync(source, destination, source);
        source.Signal(Kill);

        CommandResult watch = (await destination.CliAsync("migration", "watch", migration.Id, "--json")).Fails("did not come back", "guest dump");
        Assert.Equal(1, watch.ExitCode);
        JsonNode shown = (await destination.CliAsync("migration", "show", migration.Id, "--json")).Succeeds().Json;
        ulong lost = (ulong)shown["pagesLost"]!;
        Assert.Equal("failed", (string?)shown["state"]);
        Assert.InRange(lost, 1UL, (ulong)shown["pagesTotal"]! - 1);

        JsonNode guest = (await destination.CliAsync("guest", "show", "g", "--json")).Succeeds().Json;
        Assert.Equal("failed", (string?)guest["state"]);
        Assert.Contains($"{lost} of", (string?)guest["failure"], StringComparison.Ordinal);
        Assert.All(
            await Task.WhenAll(destination.CliAsync("guest", "hash", "g"), destination.CliAsync("guest", "resume", "g")),
            refusal => Assert.Equal(Refused, refusal.Fails("were lost").ExitCode));

        using var scratch = new Scratch();
        await DumpIsHonestAsync(destination, scratch.PathOf("g.ram"), lost);

        (await destination.CliAsync("guest", "delete", "g")).Succeeds();
        await destination.CreateGuestAsync("g", "workload", "16MiB", "4MiB");
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task An_operator_need_not_wait_until_the_source_is_given_up()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        // Until its source is dead it must not take a source that is stopped for a lost link.
        await using DaemonProcess destination = await DaemonProcess.StartAsync(
            "destination", "--stop-timeout", "10m", "--link-timeout", "60s");
        Migration migration = await HoldInPostcopyAsync(source, destination, source);
        (await destination.CliAsync("migration", "resolve", migration.Id, "--give-up")).Fails("postcopy-active", "postcopy-paused");
        source.Signal(Kill);
        await UntilAsync(destination, migration.Id, one => one.State == MigrationState.PostcopyPaused);

        CommandResult resolved = (await destination.CliAsync("migration", "resolve", migration.Id, "--give-up")).Succeeds();
        Assert.Contains("are lost", resolved.Output, StringComparison.Ordinal);
        Assert.Equal(GuestState.Failed, (await destination.GuestAsync("g")).State);
        // No page will come any more: a daemon that is told to stop has nothing to wait for, however long it may.
        destination.Signal(Terminate);
        Assert.Equal(0, await destination.ExitAsync());
    }

    [MachineFact(Host)]
    public async Task A_dump_of_a_paused_guest_is_its_memory()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("node");
        await daemon.CreateGuestAsync("g", "workload", "64MiB", "16MiB");
        using var scratch = new Scratch();
        string file = scratch.PathOf("g.ram");
        Assert.Equal(Refused, (await daemon.CliAsync("guest", "dump", "g", file)).Fails("it runs", "guest pause").ExitCode);
        Assert.Empty(Directory.EnumerateFiles(Path.GetDirectoryName(file)!, "g.ram*"));

        (await daemon.CliAsync("guest", "pause", "g")).Succeeds();
        JsonNode dumped = (await daemon.CliAsync("guest", "dump", "g", file, "--json")).Succeeds().Json;
        Assert.Equal((16384UL, 0UL), ((ulong)dumped["pagesPresent"]!, (ulong)dumped["pagesMissing"]!));
        Assert.Null(dumped["missingFile"]);
        Assert.False(File.Exists(file + ".missing"));
        string hash = (string)(await daemon.CliAsync("guest", "hash", "g", "--json")).Succeeds().Json["sha256"]!;
        Assert.Equal(hash, Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(file))));
        (await daemon.CliAsync("guest", "resume", "g")).Succeeds();
        await daemon.GuestIsWellAsync("g");
    }

    private static async Task DumpIsHonestAsync(DaemonProcess daemon, string file, ulong lost)
    {
        CommandResult dump = (await daemon.CliAsync("guest", "dump", "g", file)).Succeeds();
        Assert.Contains("WARNING", dump.Error, StringComparison.Ordinal);
        Assert.Equal(512L << 20, new FileInfo(file).Length);
        (long First, long Count)[] missing = [.. (await File.ReadAllLinesAsync(file + ".missing")).Select(line => line.Split(' '))
            .Select(fields => (long.Parse(fields[0]), long.Parse(fields[1])))];
        Assert.Equal((long)lost, missing.Sum(range => range.Count));
        Assert.All(missing.Zip(missing.Skip(1)), pair => Assert.True(pair.First.First + pair.First.Count < pair.Second.First));

        using FileStream image = File.OpenRead(file);
        byte[] page = new byte[4096];
        Assert.All(missing, range =>
        {
            image.Position = range.First * page.Length;
            image.ReadExactly(page);
            Assert.False(page.AsSpan().ContainsAnyExcept((byte)0));
        });
        // The guest's own tables are in its first pages, which come first and hold something.
        image.Position = 0;
        byte[] head = new byte[2 << 20];
        image.ReadExactly(head);
        Assert.True(head.AsSpan().ContainsAnyExcept((byte)0));

        CommandResult again = (await daemon.CliAsync("guest", "dump", "g", file)).Fails("exists", "--force");
        Assert.Equal(Refused, again.ExitCode);
        (await daemon.CliAsync("guest", "dump", "g", file, "--force", "--json")).Succeeds();
        Assert.Equal(2, Directory.EnumerateFiles(Path.GetDirectoryName(file)!, Path.GetFileName(file) + "*").Count());
    }

    /// <summary>A big guest on its way, running at the destination, with one of the two daemons stopped before every page is there.</summary>
    private static async Task<Migration> HoldInPostcopyAsync(DaemonProcess source, DaemonProcess destination, DaemonProcess stopped)
    {
        // The push would take minutes, and what the guest asks for page by page takes seconds.
        await source.CreateGuestAsync("g", "workload", "512MiB", "448MiB", pattern: "uniform");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen);
        order.PostcopyBandwidth = 1 << 20;
        Migration migration = await source.Calls.MigrateAsync(order);
        Migration running = await UntilAsync(source, migration.Id, one => one.State != MigrationState.Setup && one.State != MigrationState.Device);
        stopped.Signal(Stop);
        Assert.Equal(MigrationState.PostcopyActive, running.State);
        return migration;
    }

    /// <summary>Lets a stopped destination go on, at full speed, and restores the link by command.</summary>
    private static async Task<CommandResult> RecoverAsync(DaemonProcess source, string id, DaemonProcess destination)
    {
        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 });
        destination.Signal(Continue);
        // A daemon that has just gone on may need longer to answer than this source dials it.
        CommandResult recovered = await OrderUntilAsync(
            source, order => order.ExitCode == 0 || !order.Error.Contains("was not reached", StringComparison.Ordinal),
            "migration", "recover", id);
        return recovered.Succeeds();
    }

    /// <summary>Gives an order again and again, until what came of it is as wanted.</summary>
    private static async Task<CommandResult> OrderUntilAsync(DaemonProcess daemon, Func<CommandResult, bool> wanted, params string[] order)
    {
        CommandResult? last = null;
        await UntilAsync(async () => wanted(last = await daemon.CliAsync(order)), Deadline, () => $"{last}\n{daemon.Log}");
        return last!;
    }

    private static Task<Migration> BeginAsync(DaemonProcess source, DaemonProcess destination, string guest) =>
        source.Calls.MigrateAsync(DaemonProcess.Order(guest, destination.Listen)).ResponseAsync;

    private static async Task<Migration> UntilAsync(DaemonProcess daemon, string id, Func<Migration, bool> wanted)
    {
        var last = new Migration();
        await UntilAsync(
            async () => wanted(last = await daemon.Calls.GetMigrationAsync(new GetMigrationRequest { Id = id })),
            Deadline,
            () => $"{last}\n{daemon.Log}");
        return last;
    }

    private static async Task UntilAsync(Func<Task<bool>> reached, TimeSpan deadline, Func<string> describe)
    {
        var clock = Stopwatch.StartNew();
        while (!await reached())
        {
            if (clock.Elapsed > deadline)
            {
                throw new TimeoutException($"it did not get there within {deadline}: {describe()}");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(5));
        }
    }

    private static int Occurrences(string text, string phrase) => text.Split(phrase).Length - 1;
}
