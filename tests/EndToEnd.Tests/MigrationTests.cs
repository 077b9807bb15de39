using System.Text.Json.Nodes;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Guests move between two real daemons, by the commands that users type.</summary>
public sealed class MigrationTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;

    [MachineTheory(Host)]
    [InlineData("kvm", "move", "uniform")]
    [InlineData("kvm", "copy", "zipf")]
    [InlineData("workload", "move", "sequential")]
    [InlineData("workload", "copy", "uniform")]
    public async Task A_running_guest_goes_on_where_it_arrives(string kind, string placement, string pattern)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "128MiB", "96MiB", pattern: pattern);
        ulong stepsBefore = (await source.GuestAsync("g")).Report.Steps;

        JsonNode migration = (await source.CliAsync(
            "migrate", "g", "--to", destination.Listen, "--placement", placement, "--mode", "postcopy", "--json"))
            .Succeeds().Json;

        Assert.Equal("completed", (string)migration["state"]!);
        long placed = Count(migration, "pagesUrgent") + Count(migration, "pagesPush") + Count(migration, "pagesZero");
        Assert.Equal(128 * 256, placed);
        Assert.InRange(Count(migration, "bytesSent"), 96L << 20, 160L << 20);
        if (placement == "copy")
        {
            Assert.Equal(0, Count(migration, "moves4K") + Count(migration, "moves2M"));
            Assert.Equal(placed - Count(migration, "pagesZero"), Count(migration, "copies"));
        }
        else
        {
            Assert.True(Count(migration, "moves4K") + Count(migration, "moves2M") > 0, migration.ToString());
        }

        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);
        await destination.GuestIsWellAsync("g");
        Assert.True((await destination.GuestAsync("g")).Report.Steps > stepsBefore);
    }

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task A_paused_guest_has_the_same_memory_on_both_sides_and_stays_paused(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "128MiB", "96MiB");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");

        (await source.CliAsync("migrate", "g", "--to", destination.Listen)).Succeeds();

        Assert.Equal(GuestState.Paused, (await destination.GuestAsync("g")).State);
        Assert.Equal(before, await destination.HashAsync("g"));
        (await destination.CliAsync("guest", "resume", "g")).Succeeds();
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Host)]
    [InlineData("kvm", "uniform")]
    [InlineData("workload", "zipf")]
    public async Task Twenty_migrations_there_and_back_lose_nothing(string kind, string pattern)
    {
        await using DaemonProcess one = await DaemonProcess.StartAsync("one");
        await using DaemonProcess two = await DaemonProcess.StartAsync("two");
        await one.CreateGuestAsync("g", kind, "64MiB", "40MiB", pattern: pattern);
        for (int trip = 0; trip < 20; trip++)
        {
            await one.MigrateAsync("g", two);
            await two.MigrateAsync("g", one);
        }

        await one.GuestIsWellAsync("g");
        Assert.Equal(GuestState.Migrated, (await two.GuestAsync("g")).State);
    }

    [MachineFact(Host)]
    public async Task Mappings_do_not_grow_with_pages()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        // Everything that a first migration maps once for good is there after it.
        await source.CreateGuestAsync("small", "workload", "16MiB", "8MiB");
        await source.MigrateAsync("small", destination);
        int before = Mappings(destination);

        await source.CreateGuestAsync("large", "workload", "416MiB", "400MiB", pattern: "sequential");
        await source.MigrateAsync("large", destination);

        // 106,496 pages later: one more guest's memory, and what its threads' stacks and the runtime's own heaps need.
        Assert.InRange(Mappings(destination) - before, -100, 100);
        await destination.GuestIsWellAsync("large");
    }

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task The_guest_keeps_its_huge_pages(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "128MiB", "96MiB");
        long before = HugeBytes(source);
        Assert.True(before >= 96 << 20, $"the source has {before} bytes in huge pages: there is nothing to keep on this host");

        await source.MigrateAsync("g", destination);

        // Blocks that the guest touched before their turn are put together again after the last page has come.
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (HugeBytes(destination) < before / 100 * 95)
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{HugeBytes(destination)} of {before} bytes are huge again\n{destination.Log}");
            await Task.Delay(20);
        }

        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Host)]
    public async Task Several_guests_move_at_the_same_time()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--max-outgoing", "3");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        string[] names = ["a", "b", "c"];
        foreach (string name in names)
        {
            await source.CreateGuestAsync(name, name == "a" ? "kvm" : "workload", "32MiB", "16MiB", vcpus: 1);
        }

        CommandResult[] results = await Task.WhenAll(names.Select(name => source.CliAsync("migrate", name, "--to", destination.Listen)));
        Assert.All(results, result => result.Succeeds());
        foreach (string name in names)
        {
            await destination.GuestIsWellAsync(name);
        }
    }

    [MachineFact(Host)]
    public async Task A_detached_migration_is_watched_and_listed()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "32MiB");

        string id = (string)(await source.CliAsync(
            "migrate", "g", "--to", destination.Listen, "--detach", "--mode", "postcopy", "--json")).Succeeds().Json["id"]!;
        (await source.CliAsync("migration", "watch", id)).Succeeds();

        Assert.Equal("completed", (string)(await source.CliAsync("migration", "show", id, "--json")).Succeeds().Json["state"]!);
        foreach ((DaemonProcess daemon, string role) in new[] { (source, "source"), (destination, "destination") })
        {
            JsonNode listed = (await daemon.CliAsync("migration", "list", "--json")).Succeeds().Json.AsArray().Single()!;
            Assert.Equal((id, role), ((string)listed["id"]!, (string)listed["role"]!));
        }
    }

    private static long Count(JsonNode migration, string key) => (long)migration[key]!;

    private static int Mappings(DaemonProcess daemon) => File.ReadLines($"/proc/{daemon.ProcessId}/maps").Count();

    /// <summary>Bytes in huge pages in the largest mapping of a daemon whose only large mapping is a guest's memory of 128 MiB.</summary>
    private static long HugeBytes(DaemonProcess daemon)
    {
        long huge = 0;
        bool isGuest = false;
        foreach (string line in File.ReadLines($"/proc/{daemon.ProcessId}/smaps"))
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                isGuest = Kibibytes(line) == 128 << 10;
            }
            else if (isGuest && line.StartsWith("AnonHugePages:", StringComparison.Ordinal))
            {
                huge += Kibibytes(line) << 10;
            }
        }

        return huge;
    }

    private static long Kibibytes(string line) =>
        long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture);
}
