using System.Globalization;
using MigrationD.EndToEnd.Tests.Limits;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Precopy;

/// <summary>One lane is lost in precopy, and both daemons go on talking: they need not see it in the same order.</summary>
public sealed class LostLaneTests
{
    private const Needs Hosts = Needs.Userfaultfd | Needs.NetworkNamespaces;
    private const int ContinueSignal = 18;

    /// <summary>The guest's name and memory are taken there until the first attempt is cleared up.</summary>
    [MachineFact(Hosts)]
    public async Task It_begins_anew_though_the_destination_is_not_done_with_the_first_attempt()
    {
        using NetworkPair network = NetworkPair.Create();
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync(
            "destination", start => Fail(start, network.Two, "destination.discard:delay:3000"));
        // Each attempt would take twelve seconds: the first is under way when its lane is lost, and the second when it is looked at.
        string id = await BeginAsync(source, destination, bandwidth: 2 << 20);
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PrecopyActive && one.PagesReceived > 500);

        KillALane(network, destination);

        Migration again = await source.MigrationUntilAsync(id, one => one.Recoveries > 0);
        Assert.False(again.IsEnded(), again.Reason);
        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, Bandwidth = 0 });
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        await destination.GuestIsWellAsync("g");
    }

    /// <summary>It gives up, and refuses what the source asks next, before the source has seen that its lane is gone.</summary>
    [MachineFact(Hosts)]
    public async Task It_begins_anew_though_the_destination_notices_first()
    {
        using NetworkPair network = NetworkPair.Create();
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", start => Fail(start, network.One, "source.forget:stop"));
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter, "--link-timeout", "60s");
        string id = await BeginAsync(source, destination, bandwidth: 0);
        await source.StoppedAsync();

        KillALane(network, destination);
        await destination.GuestsUntilAsync(guests => guests.Count == 0);
        source.Signal(ContinueSignal);

        Migration ended = await source.MigrationUntilAsync(id, one => one.IsEnded());
        Assert.Equal((MigrationState.Completed, true), (ended.State, ended.Recoveries > 0));
        await destination.GuestIsWellAsync("g");
    }

    private static async Task<string> BeginAsync(DaemonProcess source, DaemonProcess destination, ulong bandwidth)
    {
        await source.CreateGuestAsync("g", "workload", "32MiB", "24MiB");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen, MigrationMode.Hybrid);
        order.Bandwidth = bandwidth;
        return (await source.Calls.MigrateAsync(order)).Id;
    }

    private static void Fail(System.Diagnostics.ProcessStartInfo start, NetworkHost host, string how)
    {
        host.Enter(start);
        start.Environment["MIGRATIOND_FAULT"] = how;
    }

    private static void KillALane(NetworkPair network, DaemonProcess destination)
    {
        string lanes = destination.Lanes;
        int port = int.Parse(lanes[(lanes.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
        network.Kill(network.ConnectionsTo(port)[0]);
    }
}
