using System.Globalization;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The link between two hosts is lost while pages are missing, and comes back. Nobody does anything about it.</summary>
public sealed class RecoveryTests
{
    private const Needs Hosts = Needs.Userfaultfd | Needs.Kvm | Needs.NetworkNamespaces;

    // Ten seconds of pages, so that a link is cut while some are missing, on a busy machine too; and two of them once it has been cut.
    private const string Rate = "20mbit";
    private const string FasterRate = "100mbit";

    // A host that was too busy for one second must not be a lost link where losses are counted.
    private const string Patient = "30s";
    private const string Impatient = "2s";

    private const ulong Memory = 32 << 20;
    private const ulong Pages = Memory / 4096;
    private const ulong WorkingSet = 24 << 20;

    private const int StopSignal = 19;
    private const int ContinueSignal = 18;

    [MachineTheory(Hosts)]
    [InlineData("kvm", "link", "uniform")]
    [InlineData("kvm", "drop", "sequential")]
    [InlineData("kvm", "reset", "zipf")]
    [InlineData("workload", "link", "zipf")]
    [InlineData("workload", "drop", "uniform")]
    [InlineData("workload", "reset", "sequential")]
    public async Task A_link_that_comes_back_is_restored(string kind, string cut, string pattern)
    {
        await using var world = await World.CreateAsync(LinkTimeout(cut));
        await world.Source.CreateGuestAsync("g", kind, "32MiB", "24MiB", pattern: pattern);
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);

        Cut(world.Network, cut);
        Migration paused = await world.Source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
        Assert.Contains("lane is lost", paused.Reason, StringComparison.Ordinal);
        // The guest is the destination's, lost link or not.
        Assert.Equal(GuestState.Migrated, (await world.Source.GuestAsync("g")).State);
        Assert.Equal(GuestState.Running, (await world.Destination.GuestAsync("g")).State);
        world.Network.Shape(FasterRate);
        Mend(world.Network, cut);

        Migration ended = await world.CompletedAsync(id);
        // Where silence is a lost link, a busy machine may add one.
        Assert.InRange(ended.Recoveries, 1U, cut == "reset" ? 2U : uint.MaxValue);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task A_link_that_is_lost_many_times_brings_every_page_once(string kind)
    {
        const uint Cuts = 5;
        await using var world = await World.CreateAsync(Patient);
        await world.Source.CreateGuestAsync("g", kind, "32MiB", "24MiB");
        string id = await world.BeginAsync();
        for (uint cut = 0; cut < Cuts; cut++)
        {
            // Each time there is more than before: what arrived stays.
            await world.PagesReceivedAsync(id, Pages / 4 + (cut * Pages / 10));
            world.Network.StartResetting();
            await world.Source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
            world.Network.StopResetting();
            await world.Source.MigrationUntilAsync(id, one => one.Recoveries > cut);
            await world.Destination.MigrationUntilAsync(id, one => one.Recoveries > cut);
        }

        world.Network.Shape(FasterRate);
        Migration ended = await world.CompletedAsync(id);
        Assert.InRange(ended.Recoveries, Cuts, Cuts + 2);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_daemon_that_hangs_is_a_lost_link(bool source)
    {
        await using var world = await World.CreateAsync(Impatient);
        await world.Source.CreateGuestAsync("g", "kvm", "32MiB", "24MiB");
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);
        (DaemonProcess hung, DaemonProcess other) = source ? (world.Source, world.Destination) : (world.Destination, world.Source);

        hung.Signal(StopSignal);
        // Its host's kernel still answers for it.
        Migration paused = await other.MigrationUntilAsync(id, one => one.State is MigrationState.PostcopyPaused or MigrationState.PostcopyRecover);
        // A busy machine may have lost it before, and the source may have been stopped while it had it restored.
        Assert.True(
            paused.State == MigrationState.PostcopyRecover || paused.Reason.Contains("lane is lost", StringComparison.Ordinal), paused.Reason);
        world.Network.Shape(FasterRate);
        hung.Signal(ContinueSignal);

        // The kernel of a destination that hangs takes as much as fits its buffers.
        Assert.InRange((await world.CompletedAsync(id, underWayAtACut: 16 << 20)).Recoveries, 1U, uint.MaxValue);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task A_guest_that_was_declared_lost_goes_on_when_its_source_returns(string kind)
    {
        await using var world = await World.CreateAsync(Impatient, "--recovery-timeout", "2s");
        await world.Source.CreateGuestAsync("g", kind, "32MiB", "24MiB");
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);

        world.Network.StartDropping();
        Migration lost = await world.Destination.MigrationUntilAsync(id, one => one.State == MigrationState.Failed);
        Assert.InRange(lost.PagesLost, 1UL, Pages / 2);
        // That it is lost is said of the migration first.
        await world.Destination.GuestUntilAsync("g", guest => guest.State == GuestState.Failed);
        world.Network.Shape(FasterRate);
        world.Network.StopDropping();

        await world.CompletedAsync(id);
        Assert.Equal(0UL, (await world.Destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed)).PagesLost);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData(0)]
    [InlineData(1)]
    public async Task One_lane_that_is_lost_is_a_lost_link(int lane)
    {
        await using var world = await World.CreateAsync(Patient);
        await world.Source.CreateGuestAsync("g", "kvm", "32MiB", "24MiB");
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);
        IReadOnlyList<int> lanes = world.Network.ConnectionsTo(Port(world.Destination.Lanes));
        Assert.Equal(2, lanes.Count);

        world.Network.Kill(lanes.Order().ElementAt(lane));
        world.Network.Shape(FasterRate);

        Assert.Equal(1U, (await world.CompletedAsync(id)).Recoveries);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineFact(Hosts)]
    public async Task Pages_do_not_need_the_control_connection()
    {
        await using var world = await World.CreateAsync(Patient);
        await world.Source.CreateGuestAsync("g", "kvm", "32MiB", "24MiB");
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);

        foreach (int connection in world.Network.ConnectionsTo(Port(world.Destination.Listen)))
        {
            world.Network.Kill(connection);
        }

        world.Network.Shape(FasterRate);
        Assert.Equal(0U, (await world.CompletedAsync(id)).Recoveries);
        await world.Destination.GuestIsWellAsync("g");
    }

    [MachineTheory(Hosts)]
    [InlineData("kvm", "link")]
    [InlineData("workload", "reset")]
    public async Task A_memory_that_nobody_writes_is_the_same_after_a_lost_link(string kind, string cut)
    {
        await using var world = await World.CreateAsync(LinkTimeout(cut));
        await world.Source.CreateGuestAsync("g", kind, "32MiB", "24MiB");
        await world.Source.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        string before = await HashAsync(world.Source);
        string id = await world.BeginAsync();
        await world.PagesReceivedAsync(id, Pages / 2);

        Cut(world.Network, cut);
        await world.Source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
        world.Network.Shape(FasterRate);
        Mend(world.Network, cut);

        await world.CompletedAsync(id);
        Assert.Equal(GuestState.Paused, (await world.Destination.GuestAsync("g")).State);
        Assert.Equal(before, await HashAsync(world.Destination));
        await world.Destination.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = "g" });
        await world.Destination.GuestIsWellAsync("g");
    }

    /// <summary>Hosts are told of a reset; of the other cuts only silence tells.</summary>
    private static string LinkTimeout(string cut) => cut == "reset" ? Patient : Impatient;

    private static void Cut(NetworkPair network, string how)
    {
        switch (how)
        {
            case "link": network.LinkDown(); break;
            case "drop": network.StartDropping(); break;
            case "reset": network.StartResetting(); break;
            default: throw new ArgumentOutOfRangeException(nameof(how));
        }
    }

    private static void Mend(NetworkPair network, string how)
    {
        switch (how)
        {
            case "link": network.LinkUp(); break;
            case "drop": network.StopDropping(); break;
            case "reset": network.StopResetting(); break;
            default: throw new ArgumentOutOfRangeException(nameof(how));
        }
    }

    private static int Port(string address) => int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);

    private static async Task<string> HashAsync(DaemonProcess daemon) =>
        (await daemon.Calls.HashGuestAsync(new HashGuestRequest { Name = "g" })).Sha256;

    /// <summary>Two daemons on two hosts.</summary>
    private sealed record World(NetworkPair Network, DaemonProcess Source, DaemonProcess Destination) : IAsyncDisposable
    {
        public static async Task<World> CreateAsync(string linkTimeout, params string[] ofDestination)
        {
            NetworkPair network = NetworkPair.Create(Rate);
            DaemonProcess? source = null;
            try
            {
                // A guest of this size asks for its first pages over a slow link.
                string[] options = ["--link-timeout", linkTimeout, "--switchover-timeout", "10s"];
                source = await DaemonProcess.StartAsync("source", network.One.Enter, options);
                return new World(network, source, await DaemonProcess.StartAsync("destination", network.Two.Enter, [.. options, .. ofDestination]));
            }
            catch
            {
                await (source?.DisposeAsync() ?? ValueTask.CompletedTask);
                network.Dispose();
                throw;
            }
        }

        public async Task<string> BeginAsync() =>
            (await Source.Calls.MigrateAsync(DaemonProcess.Order("g", Destination.Listen))).Id;

        /// <summary>Waits until the destination runs the guest and holds so many pages.</summary>
        public async Task PagesReceivedAsync(string id, ulong pages) => await Destination.MigrationUntilAsync(
            id, one => one.State == MigrationState.PostcopyActive && one.PagesReceived >= pages);

        /// <summary>Waits for the end, and asserts what holds of every migration that completed.</summary>
        public async Task<Migration> CompletedAsync(string id, ulong underWayAtACut = 4 << 20)
        {
            Migration source = await Source.MigrationUntilAsync(
                id, one => one.State >= MigrationState.Completed && one.State != MigrationState.PostcopyRecover);
            Migration destination = await Destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
            Assert.True(source.State == MigrationState.Completed, $"{source}\n{Source.Log}\n{Destination.Log}");
            // Not always as many: a link that is lost while it is restored may be so for one side only.
            Assert.Equal(source.Recoveries > 0, destination.Recoveries > 0);
            PlacementCounters placed = destination.Placement;
            Assert.Equal(Pages, placed.PagesUrgent + placed.PagesPush + placed.PagesZero);
            // The kernel does not always say of each page that it has moved it.
            Assert.InRange(placed.Moves4K + (512 * placed.Moves2M) + placed.Copies + placed.PagesZero, Pages - 511, Pages);
            // What was under way when the link went is sent again, and some of what was asked for; what had arrived is not.
            ulong underWay = (source.Recoveries * underWayAtACut) + (WorkingSet / 8);
            Assert.InRange(source.BytesSent, WorkingSet, WorkingSet + underWay);
            Assert.Equal(GuestState.Migrated, (await Source.GuestAsync("g")).State);
            return source;
        }

        public async ValueTask DisposeAsync()
        {
            await Source.DisposeAsync();
            await Destination.DisposeAsync();
            Network.Dispose();
        }
    }
}
