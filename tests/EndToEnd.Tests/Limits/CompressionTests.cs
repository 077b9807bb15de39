using System.Text.Json.Nodes;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Limits;

/// <summary>Pages that are packed on their way: they arrive as they were, and fewer bytes go over where that is faster.</summary>
public sealed class CompressionTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const ulong PageSize = 4096;

    [MachineTheory(Host)]
    [InlineData("kvm", MigrationMode.Postcopy, 1)]
    [InlineData("kvm", MigrationMode.Hybrid, 1)]
    [InlineData("kvm", MigrationMode.Precopy, 3)]
    [InlineData("workload", MigrationMode.Postcopy, 3)]
    [InlineData("workload", MigrationMode.Hybrid, 2)]
    [InlineData("workload", MigrationMode.Precopy, 1)]
    public async Task A_guest_that_writes_goes_there_and_back_packed(string kind, MigrationMode mode, int lanes)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "40MiB", pattern: "zipf", content: "counting");

        Migration there = await MoveAsync(source, destination, mode, CompressMode.On, lanes);
        await destination.GuestIsWellAsync("g");
        Migration back = await MoveAsync(destination, source, mode, CompressMode.On, lanes);
        await source.GuestIsWellAsync("g");

        Assert.All([there, back], one =>
        {
            Assert.Equal(PageCompressions.Known[0].ToString(), one.Compression.Format, ignoreCase: true);
            // What is asked for comes as it is, and may be much.
            Assert.InRange(one.Compression.PagesPacked, 500UL, ulong.MaxValue);
            ulong packed = one.Compression.PagesPacked * PageSize;
            Assert.InRange(one.Compression.BytesSaved, packed * 3 / 4, packed);
        });
    }

    [MachineTheory(Host | Needs.NetworkNamespaces)]
    [InlineData(MigrationMode.Postcopy)]
    [InlineData(MigrationMode.Hybrid)]
    [InlineData(MigrationMode.Precopy)]
    public async Task Over_a_thin_link_pages_are_packed_without_being_told(MigrationMode mode)
    {
        using NetworkPair network = NetworkPair.Create("100mbit");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "kvm", "64MiB", "48MiB", pattern: "zipf", content: "counting");
        Migration moved = await MoveAsync(source, destination, mode, CompressMode.Unspecified, lanes: 1);
        await destination.GuestIsWellAsync("g");
        Assert.InRange(moved.Compression.PagesPacked, 500UL, ulong.MaxValue);
        Assert.InRange(moved.Compression.BytesSaved, moved.Compression.PagesPacked * PageSize * 3 / 4, ulong.MaxValue);
    }

    [MachineTheory(Host | Needs.NetworkNamespaces)]
    [InlineData("counting", 0, 35)]
    [InlineData("random", 80, 110)]
    public async Task What_nobody_asks_for_is_sent_in_fewer_bytes_if_it_packs(string content, int atLeastPercent, int atMostPercent)
    {
        const ulong WorkingSet = 48 << 20;
        using NetworkPair network = NetworkPair.Create("200mbit");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "workload", "64MiB", "48MiB", content: content);
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");
        Migration moved = await MoveAsync(source, destination, MigrationMode.Postcopy, CompressMode.Auto, lanes: 1);
        Assert.Equal(before, await destination.HashAsync("g"));
        Assert.InRange(moved.BytesSent, WorkingSet * (ulong)atLeastPercent / 100, WorkingSet * (ulong)atMostPercent / 100);
    }

    [MachineFact(Host | Needs.NetworkNamespaces)]
    public async Task After_a_lost_link_pages_go_on_being_packed()
    {
        using NetworkPair network = NetworkPair.Create("100mbit");
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "workload", "64MiB", "48MiB", content: "counting");
        (await source.CliAsync("guest", "pause", "g")).Succeeds();
        string before = await source.HashAsync("g");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen, MigrationMode.Postcopy);
        order.Compress = CompressMode.On;
        order.Bandwidth = 200 << 10;
        string id = (await source.Calls.MigrateAsync(order)).Id;
        Migration cut = await source.MigrationUntilAsync(id, one => one.Compression?.PagesPacked >= 2048);
        Assert.Equal(MigrationState.PostcopyActive, cut.State);
        network.StartResetting();
        await source.MigrationUntilAsync(id, one => one.State != MigrationState.PostcopyActive);
        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, Bandwidth = 0 });
        network.StopResetting();
        Migration moved = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(moved.State == MigrationState.Completed, moved.Reason);
        Assert.InRange(moved.Recoveries, 1U, uint.MaxValue);
        Assert.InRange(moved.Compression.PagesPacked, cut.Compression.PagesPacked + 1, ulong.MaxValue);
        Assert.Equal(before, await destination.HashAsync("g"));
    }

    [MachineFact(Host)]
    public async Task Nothing_is_packed_that_is_not_wanted_or_not_known()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "16MiB", "8MiB", content: "counting");

        CommandResult moved = await source.CliAsync("migrate", "g", "--to", destination.Listen, "--compress", "off", "--json");
        JsonNode last = JsonNode.Parse(moved.Succeeds().Output.TrimEnd().Split('\n')[^1])!;
        Assert.Equal(("completed", null), ((string?)last["state"], last["compression"]));
        await destination.GuestIsWellAsync("g");

        // A destination that is older chooses nothing; this one wants what it was not offered.
        await using ScriptedDestination strange = await ScriptedDestination.StartAsync();
        PrepareRequest? asked = null;
        strange.OnPrepare = request =>
        {
            asked = request;
            PrepareResponse prepared = strange.Prepared;
            prepared.Compression = (PageCompression)77;
            return prepared;
        };
        (await destination.CliAsync("migrate", "g", "--to", strange.Address, "--compress", "on", "--mode", "postcopy"))
            .Fails("packed as 77, which it was not offered");
        Assert.Equal(PageCompressions.Known, asked!.Compressions);
        Assert.Equal(2U, asked.ProtocolVersion);
        (await destination.CliAsync("migrate", "g", "--to", strange.Address, "--compress", "maybe")).Fails("auto, off, on");
        await destination.GuestIsWellAsync("g");
    }

    private static async Task<Migration> MoveAsync(
        DaemonProcess from, DaemonProcess to, MigrationMode mode, CompressMode compress, int lanes)
    {
        MigrateRequest order = DaemonProcess.Order("g", to.Listen, mode);
        order.Compress = compress;
        order.Lanes = (uint)lanes;
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        order.MaxRounds = 3;
        string id = (await from.Calls.MigrateAsync(order)).Id;
        Migration left = await from.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.True(left.State == MigrationState.Completed, $"{left}\n{from.Log}\n{to.Log}");
        await to.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        return left;
    }
}
