using System.Diagnostics;
using System.Text.Json.Nodes;
using MigrationD.EndToEnd.Tests.Security;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A host that is emptied: what goes where, what stays and why, and what an interruption leaves.</summary>
public sealed class DrainTests
{
    private const Needs Host = Needs.Userfaultfd;
    private const int Failed = 1;
    private const int Refused = 5;
    private const int Interrupted = 130;
    private const int Interrupt = 2;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [MachineFact(Host)]
    public async Task Every_guest_goes_to_the_peer_with_the_most_room_and_the_host_stays_empty()
    {
        await using DaemonProcess roomy = await DaemonProcess.StartAsync("roomy", "--guest-memory", "112MiB");
        await using DaemonProcess small = await DaemonProcess.StartAsync("small", "--guest-memory", "40MiB");
        using var dead = new DeadAddress();
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", "--peers", $"{small.Listen},{dead},{roomy.Listen}");
        await CreateAsync(source, "large", "64MiB");
        await CreateAsync(source, "middle", "32MiB");
        await CreateAsync(source, "paused", "16MiB");
        (await source.CliAsync("guest", "pause", "paused")).Succeeds();
        string hash = await source.HashAsync("paused");

        CommandResult drained = (await source.CliAsync("drain", "--parallel", "1")).Succeeds();
        Assert.Contains("moved 3 of 3 guests of source", drained.Output, StringComparison.Ordinal);
        // The large one fits in one place only; the next finds 48 MiB there and 40 here; the last 16 there and 40 here.
        Assert.Equal(["large", "middle"], await NamesAsync(roomy));
        Assert.Equal(["paused"], await NamesAsync(small));
        Assert.All(await source.GuestsAsync(), guest => Assert.Equal(GuestState.Migrated, guest.State));
        await roomy.GuestIsWellAsync("large");
        await roomy.GuestIsWellAsync("middle");
        Assert.Equal(GuestState.Paused, (await small.GuestAsync("paused")).State);
        Assert.Equal(hash, await small.HashAsync("paused"));

        CommandResult created = await source.CliAsync("guest", "create", "new", "--kind", "workload", "--memory", "16MiB");
        Assert.Equal(Refused, created.Fails("drained", "undrain").ExitCode);
        (await small.CliAsync("migrate", "paused", "--to", source.Listen)).Fails("drained", "undrain");
        Assert.True((bool)(await source.CliAsync("node", "--json")).Succeeds().Json["drained"]!);
        JsonNode again = (await source.CliAsync("drain", "--json")).Succeeds().Json;
        Assert.Equal("drained", (string?)again["verdict"]);
        Assert.Equal(3, again["gone"]!.AsArray().Count);

        (await source.CliAsync("undrain")).Succeeds();
        (await small.CliAsync("migrate", "paused", "--to", source.Listen)).Succeeds();
    }

    [MachineFact(Host)]
    public async Task What_fits_nowhere_or_cannot_go_on_stays_and_is_named_with_the_reason_of_each_peer()
    {
        await using DaemonProcess small = await DaemonProcess.StartAsync("small", "--guest-memory", "40MiB");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess dying = await DaemonProcess.StartAsync(
            "dying", start => start.Environment["MIGRATIOND_FAULT"] = "source.stream:kill");
        await CreateAsync(dying, "lost", "32MiB", "24MiB");
        await dying.OrderMigrationAsync("lost", source);
        await dying.ExitAsync();
        string incoming = (await source.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations.Single().Id;
        await source.MigrationUntilAsync(incoming, now => now.State == MigrationState.PostcopyPaused);
        (await source.CliAsync("migration", "resolve", incoming, "--give-up")).Succeeds();
        await CreateAsync(source, "big", "64MiB");
        await CreateAsync(source, "small", "16MiB");

        using var dead = new DeadAddress();
        CommandResult drained = await source.CliAsync("drain", "--json", "--to", small.Listen, $"{dead}", source.Listen);
        Assert.Equal(Failed, drained.ExitCode);
        Assert.Equal("stayed", (string?)drained.Json["verdict"]);
        Assert.Equal(["small"], Names(drained.Json["moved"]!));
        Assert.Equal(["big", "lost"], Names(drained.Json["stayed"]!));
        string[] reasons = [.. drained.Json["stayed"]!.AsArray().Select(guest => (string)guest!["reason"]!)];
        Assert.Contains(
            $"{small.Listen}: it has 24.0 MiB free for guests, and this one has 64.0 MiB", reasons[0], StringComparison.Ordinal);
        Assert.Contains($"{dead}: ", reasons[0], StringComparison.Ordinal);
        Assert.DoesNotContain(source.Listen, reasons[0], StringComparison.Ordinal);
        Assert.Contains("cannot go on", reasons[1], StringComparison.Ordinal);
        JsonNode error = JsonNode.Parse(drained.Error)!["error"]!;
        Assert.Equal("guests-stayed", (string?)error["code"]);
        Assert.Contains("2 guests stayed on source:\n  big: ", (string?)error["message"], StringComparison.Ordinal);
        await source.GuestIsWellAsync("big");
        await small.GuestIsWellAsync("small");
    }

    [MachineFact(Host)]
    public async Task No_more_are_under_way_than_is_said_and_a_peer_with_one_place_gets_one_after_the_other()
    {
        await using DaemonProcess one = await DaemonProcess.StartAsync("one", "--max-incoming", "1");
        await using DaemonProcess many = await HangingAsync("many");
        await using DaemonProcess source = await PatientAsync();
        for (int i = 0; i < 5; i++)
        {
            await CreateAsync(source, $"g{i}", "16MiB");
        }

        Task<CommandResult> drain = source.CliAsync("drain", "--to", many.Listen, "--parallel", "2");
        // The first of them cannot end before the second is under way.
        await FirstMigrationsAsync(source, 2);
        many.GoOn();
        (await drain).Succeeds();
        Migration[] migrations = [.. (await MigrationsAsync(source)).OrderBy(migration => migration.StartedUnixUs)];
        Assert.Equal(5, migrations.Length);
        Assert.Equal(2, migrations.Max(at => migrations.Count(other =>
            other.StartedUnixUs <= at.StartedUnixUs && other.StartedUnixUs + (long)other.TotalUs > at.StartedUnixUs)));

        (await many.CliAsync("drain", "--to", one.Listen, "--parallel", "5")).Succeeds();
        Assert.All(await MigrationsAsync(many), migration => Assert.Equal(MigrationState.Completed, migration.State));
        Assert.Equal(["g0", "g1", "g2", "g3", "g4"], await NamesAsync(one));
    }

    [MachineFact(Host)]
    public async Task A_drain_whose_command_is_killed_begins_nothing_more_and_the_next_goes_on_where_it_was()
    {
        // The first guest is under way until the next drain has seen it there; the peer answers meanwhile how much room it has.
        await using DaemonProcess peer = await HangingAsync("peer");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--peers", peer.Listen);
        foreach (string name in (string[])["a", "b", "c"])
        {
            await CreateAsync(source, name, "16MiB");
        }

        using Process killed = Process.Start(ProgramUnderTest.Start("drain", "--parallel", "1", "--control", source.Control))!;
        string first = await FirstMigrationAsync(source);
        killed.Kill();
        await killed.WaitForExitAsync().WaitAsync(Deadline);

        // What was under way is followed, not begun again, and the rest is moved.
        using Process next = Process.Start(ProgramUnderTest.Start("drain", "--parallel", "1", "--json", "--control", source.Control))!;
        Task<string> error = next.StandardError.ReadToEndAsync();
        string? line;
        while ((line = await next.StandardOutput.ReadLineAsync().WaitAsync(Deadline))?.Contains(first, StringComparison.Ordinal) == false)
        {
        }

        Assert.True(line is not null, $"it ended without a word of migration {first}: {source.Log}");
        peer.GoOn();
        string output = await next.StandardOutput.ReadToEndAsync().WaitAsync(Deadline);
        await next.WaitForExitAsync().WaitAsync(Deadline);
        JsonNode drained = new CommandResult("migrationd drain --json", next.ExitCode, output, await error).Succeeds().Json;
        Assert.Equal(["a", "b", "c"], Names(drained["moved"]!));
        Assert.Equal(first, (string?)drained["moved"]![0]!["migrationId"]);
        Assert.Equal(3, (await MigrationsAsync(source)).Count);
        Assert.Equal(["a", "b", "c"], await NamesAsync(peer));
    }

    [MachineFact(Host)]
    public async Task Ctrl_C_leaves_what_is_under_way_and_says_so()
    {
        await using DaemonProcess peer = await HangingAsync("peer");
        await using DaemonProcess source = await PatientAsync("--peers", peer.Listen);
        await CreateAsync(source, "a", "16MiB");
        await CreateAsync(source, "b", "16MiB");

        using Process interrupted = Process.Start(ProgramUnderTest.Start("drain", "--parallel", "1", "--control", source.Control))!;
        Task<string> error = interrupted.StandardError.ReadToEndAsync();
        // Once it prints, an interrupt finds it prepared.
        Assert.Equal("a  waiting", await interrupted.StandardOutput.ReadLineAsync().WaitAsync(Deadline));
        Assert.Equal("b  waiting", await interrupted.StandardOutput.ReadLineAsync().WaitAsync(Deadline));
        Task<string> output = interrupted.StandardOutput.ReadToEndAsync();
        string first = await FirstMigrationAsync(source);
        Assert.Equal(0, Kill(interrupted.Id, Interrupt));
        await interrupted.WaitForExitAsync().WaitAsync(Deadline);
        Assert.Equal(Interrupted, interrupted.ExitCode);
        Assert.Contains($"going on: a ({first} to {peer.Listen})", await error, StringComparison.Ordinal);
        Assert.Contains("undrain", await error, StringComparison.Ordinal);
        await output.WaitAsync(Deadline);

        peer.GoOn();
        await source.MigrationUntilAsync(first, now => now.State == MigrationState.Completed);
        await source.GuestIsWellAsync("b");
        Assert.Single(await MigrationsAsync(source));
        Assert.True((bool)(await source.CliAsync("node", "--json")).Succeeds().Json["drained"]!);
    }

    [MachineFact(Host)]
    public async Task With_certificates_a_peer_that_takes_no_guests_from_here_says_nothing_of_itself_and_gets_none()
    {
        using var authority = new Authority();
        await using DaemonProcess closed = await StartAsync(authority, "closed", "--allow-senders", "somebody");
        await using DaemonProcess open = await StartAsync(authority, "open", "--allow-senders", "source");
        await using DaemonProcess source = await StartAsync(authority, "source");
        await CreateAsync(source, "a", "16MiB");
        JsonNode drained = (await source.CliAsync("drain", "--to", closed.Listen, open.Listen, "--json")).Succeeds().Json;
        Assert.Equal(open.Listen, (string?)drained["moved"]![0]!["peer"]);
        Assert.NotNull(drained["peers"]![0]!["problem"]);
        Assert.Null(drained["peers"]![0]!["name"]);
        await open.GuestIsWellAsync("a");
    }

    private static Task<DaemonProcess> StartAsync(Authority authority, string node, params string[] options) =>
        DaemonProcess.StartAsync(node, ["--tls", authority.Issue(node, "127.0.0.1"), .. options]);

    /// <summary>A destination that does not answer when it has prepared for its first guest, until it is told to go on.</summary>
    private static Task<DaemonProcess> HangingAsync(string node) =>
        DaemonProcess.StartAsync(node, start => start.Environment["MIGRATIOND_FAULT"] = "destination.prepared:wait");

    /// <summary>A source that does not take a destination that hangs for a lost link.</summary>
    private static Task<DaemonProcess> PatientAsync(params string[] options) =>
        DaemonProcess.StartAsync("source", ["--link-timeout", "60s", .. options]);

    private static Task CreateAsync(DaemonProcess daemon, string name, string memory, string workingSet = "4MiB") =>
        daemon.CreateGuestAsync(name, "workload", memory, workingSet, vcpus: 1);

    private static async Task<string> FirstMigrationAsync(DaemonProcess daemon) => (await FirstMigrationsAsync(daemon, 1))[0].Id;

    /// <summary>Waits until so many migrations have begun.</summary>
    private static async Task<IReadOnlyList<Migration>> FirstMigrationsAsync(DaemonProcess daemon, int count)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            IReadOnlyList<Migration> begun = await MigrationsAsync(daemon);
            if (begun.Count >= count)
            {
                return begun;
            }

            Assert.True(clock.Elapsed < Deadline, $"{begun.Count} of {count} migrations began within {Deadline}: {daemon.Log}");
            await Task.Delay(20);
        }
    }

    private static async Task<IReadOnlyList<Migration>> MigrationsAsync(DaemonProcess daemon) =>
        [.. (await daemon.Calls.ListMigrationsAsync(new ListMigrationsRequest())).Migrations
            .Where(migration => migration.Role == MigrationRole.Source)];

    private static async Task<IEnumerable<string>> NamesAsync(DaemonProcess daemon) =>
        (await daemon.GuestsAsync()).Where(guest => guest.State != GuestState.Migrated).Select((GuestMessage guest) => guest.Spec.Name);

    private static string[] Names(JsonNode guests) => [.. guests.AsArray().Select(guest => (string)guest!["guest"]!)];

    [System.Runtime.InteropServices.DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
