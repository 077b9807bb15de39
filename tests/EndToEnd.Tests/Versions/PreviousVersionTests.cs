using System.Diagnostics;
using System.Text.Json.Nodes;
using MigrationD.EndToEnd.Tests.Security;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Versions;

/// <summary>
/// A daemon of <see cref="PreviousVersion"/> and one of this tree move guests to each other, and either is asked by commands of the other:
/// what happens while hosts are upgraded one after the other.
/// </summary>
public sealed class PreviousVersionTests(PreviousProgram previous) : IClassFixture<PreviousProgram>
{
    private const Needs Host = Needs.Userfaultfd | Needs.PreviousVersion;
    private const ulong Pages = 8192;

    [MachineFact(Host)]
    public async Task The_previous_version_is_what_was_built()
    {
        await using DaemonProcess daemon = await StartSourceAsync(Way.Upgrade);
        Node node = await daemon.Calls.GetNodeAsync(new GetNodeRequest());
        Assert.EndsWith(PreviousVersion.Commit, node.Version, StringComparison.Ordinal);
    }

    [MachineTheory(Host | Needs.Kvm)]
    [InlineData(Way.Upgrade, MigrationMode.Postcopy)]
    [InlineData(Way.Downgrade, MigrationMode.Hybrid)]
    [InlineData(Way.Upgrade, MigrationMode.Precopy)]
    public Task A_machine_moves_this_way_and_back(Way first, MigrationMode mode) => AGuestMovesThereAndBackAsync("kvm", first, mode);

    [MachineTheory(Host)]
    [InlineData(Way.Downgrade, MigrationMode.Postcopy)]
    [InlineData(Way.Upgrade, MigrationMode.Hybrid)]
    [InlineData(Way.Downgrade, MigrationMode.Precopy)]
    public Task A_workload_moves_this_way_and_back(Way first, MigrationMode mode) => AGuestMovesThereAndBackAsync("workload", first, mode);

    [MachineFact(Host)]
    public Task Pages_go_over_several_lanes() => AGuestMovesThereAndBackAsync("workload", Way.Upgrade, MigrationMode.Hybrid, lanes: 4);

    [MachineFact(Host)]
    public async Task A_guest_moves_between_daemons_that_know_each_other_by_certificates()
    {
        using var authority = new Authority();
        string[] Options(string node, string other) =>
            ["--tls", authority.Issue(node, "127.0.0.1"), "--allow-senders", other, "--allow-receivers", other];
        await using DaemonProcess source = await StartSourceAsync(Way.Upgrade, null, Options("source", "destination"));
        await using DaemonProcess destination = await StartDestinationAsync(Way.Upgrade, null, Options("destination", "source"));
        await MoveThereAndBackAsync(source, destination, "workload", MigrationMode.Hybrid);
    }

    [MachineTheory(Host | Needs.NetworkNamespaces)]
    [InlineData(Way.Upgrade)]
    [InlineData(Way.Downgrade)]
    public async Task A_lost_link_is_restored(Way way)
    {
        // Ten seconds of pages, so that some are missing when the link is cut, on a busy machine too. The source is told of a reset; a host
        // that was too busy for a while must not be a lost link besides.
        using NetworkPair network = NetworkPair.Create("20mbit");
        string[] options = ["--link-timeout", "30s", "--switchover-timeout", "10s"];
        await using DaemonProcess source = await StartSourceAsync(way, network.One.Enter, options);
        await using DaemonProcess destination = await StartDestinationAsync(way, network.Two.Enter, options);
        await source.CreateGuestAsync("g", "workload", "32MiB", "24MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyActive && one.PagesReceived >= Pages / 8 * 3);

        network.StartResetting();
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
        network.Shape(null);
        network.StopResetting();

        Migration left = await source.MigrationUntilAsync(id, one => one.State is MigrationState.Completed or MigrationState.Failed);
        Assert.True(left.State == MigrationState.Completed, $"{left}\n{source.Log}\n{destination.Log}");
        Assert.InRange(left.Recoveries, 1U, uint.MaxValue);
        await EveryPageCameAsync(destination, id);
        await destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Host)]
    [InlineData(Way.Upgrade)]
    [InlineData(Way.Downgrade)]
    public async Task Commands_of_one_version_work_with_daemons_of_the_other(Way way)
    {
        const int NotFound = 4;
        MigrationdProgram commands = Source(way);
        await using DaemonProcess one = await StartDestinationAsync(way);
        await using DaemonProcess two = await StartDestinationAsync(way);
        Task<CommandResult> CliAsync(DaemonProcess daemon, params string[] arguments) => daemon.CliAsync(commands, arguments);

        (await CliAsync(one, "health")).Succeeds();
        (await CliAsync(one, "guest", "create", "g", "--kind", "workload", "--memory", "16MiB", "--working-set", "8MiB")).Succeeds();
        await one.GuestUntilAsync("g", guest => guest.Report.Sweeps >= 1);
        JsonNode listed = (await CliAsync(one, "guest", "list", "--json")).Succeeds().Json.AsArray().Single()!;
        Assert.Equal(("g", "running"), ((string)listed["name"]!, (string)listed["state"]!));
        (await CliAsync(one, "guest", "pause", "g")).Succeeds();
        string before = await HashAsync(one);

        JsonNode moved = (await CliAsync(one, "migrate", "g", "--to", two.Listen, "--json")).Succeeds().Json;
        JsonNode shown = (await CliAsync(one, "migration", "show", (string)moved["id"]!, "--json")).Succeeds().Json;
        Assert.Equal(("g", "completed"), ((string)shown["guest"]!, (string)shown["state"]!));
        Assert.Matches(@"(?m)^status +completed$", (await CliAsync(two, "migration", "show", (string)moved["id"]!)).Succeeds().Output);
        Assert.Matches(@"(?m)^g +workload +migrated ", (await CliAsync(one, "guest", "list")).Succeeds().Output);
        Assert.Equal(before, await HashAsync(two));
        Assert.Equal(NotFound, (await CliAsync(one, "guest", "show", "nobody")).Fails("nobody").ExitCode);

        (await CliAsync(two, "guest", "resume", "g")).Succeeds();
        await two.GuestIsWellAsync("g");

        async Task<string> HashAsync(DaemonProcess daemon) =>
            (string)(await CliAsync(daemon, "guest", "hash", "g", "--json")).Succeeds().Json["sha256"]!;
    }

    private async Task AGuestMovesThereAndBackAsync(string kind, Way first, MigrationMode mode, uint lanes = 1)
    {
        await using DaemonProcess source = await StartSourceAsync(first);
        await using DaemonProcess destination = await StartDestinationAsync(first);
        await MoveThereAndBackAsync(source, destination, kind, mode, lanes);
    }

    private static async Task MoveThereAndBackAsync(
        DaemonProcess one, DaemonProcess other, string kind, MigrationMode mode, uint lanes = 1)
    {
        await one.CreateGuestAsync("g", kind, "32MiB", "24MiB");
        await MoveAsync(one, other, mode, lanes);
        await MoveAsync(other, one, mode, lanes);
    }

    /// <summary>Moves the guest, and asserts that it went over as it was asked for, whole, and goes on.</summary>
    private static async Task MoveAsync(DaemonProcess source, DaemonProcess destination, MigrationMode mode, uint lanes)
    {
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen, mode);
        order.Lanes = lanes;
        order.TimeoutStrategy = TimeoutStrategy.Continue;
        order.MaxRounds = 3;
        ulong stepsBefore = (await source.GuestAsync("g")).Report.Steps;

        Migration left = await source.MigrateAsync(order, destination);

        Assert.Equal(mode, left.Mode);
        Assert.Equal(mode != MigrationMode.Postcopy, left.Precopy?.Bytes > 0);
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);
        await EveryPageCameAsync(destination, left.Id);
        await destination.GuestIsWellAsync("g");
        Assert.True((await destination.GuestAsync("g")).Report.Steps > stepsBefore);
    }

    private static async Task EveryPageCameAsync(DaemonProcess destination, string id)
    {
        Migration arrived = await destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        PlacementCounters placed = arrived.Placement;
        Assert.Equal(Pages, arrived.PagesReceived);
        Assert.Equal(Pages, placed.PagesUrgent + placed.PagesPush + placed.PagesZero - placed.PagesForgotten);
    }

    private Task<DaemonProcess> StartSourceAsync(Way way, Action<ProcessStartInfo>? prepare = null, params string[] options) =>
        DaemonProcess.StartAsync(Source(way), "source", prepare ?? (_ => { }), options);

    private Task<DaemonProcess> StartDestinationAsync(Way way, Action<ProcessStartInfo>? prepare = null, params string[] options) =>
        DaemonProcess.StartAsync(Destination(way), "destination", prepare ?? (_ => { }), options);

    private MigrationdProgram Source(Way way) => way == Way.Upgrade ? previous.Program : ProgramUnderTest.Program;

    private MigrationdProgram Destination(Way way) => way == Way.Upgrade ? ProgramUnderTest.Program : previous.Program;
}
