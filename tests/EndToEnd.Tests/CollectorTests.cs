using System.Diagnostics;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// The garbage collector stops every managed thread. One that had touched a missing page would never stop, and the page could never
/// come: the process would be dead. So collections are forced from all sides while pages are on their way.
/// </summary>
public sealed class CollectorTests
{
    private const int EnoughCollections = 50;
    private const int MostTrips = 40;

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task Collections_from_all_sides_do_not_stop_a_migration(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", CollectEagerly);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", CollectEagerly);
        await source.CreateGuestAsync("g", kind, "256MiB", "192MiB", pattern: "sequential");
        ulong before = await CollectionsAsync(source, destination);

        using var done = new CancellationTokenSource();
        Task[] load = [.. Enumerable.Range(0, 4).SelectMany(_ => new[] { HammerAsync(source, done.Token), HammerAsync(destination, done.Token) })];
        ulong during = 0;
        for (int trip = 0; trip < MostTrips && during < EnoughCollections; trip++)
        {
            await source.MigrateAsync("g", destination);
            await destination.MigrateAsync("g", source);
            during = await CollectionsAsync(source, destination) - before;
        }

        await done.CancelAsync();
        await Task.WhenAll(load);

        Assert.True(during >= EnoughCollections, $"only {during} collections in {2 * MostTrips} migrations: this test has shown nothing");
        await source.GuestIsWellAsync("g");
    }

    /// <summary>The least that the runtime accepts (hexadecimal): a collection for every 64 KiB allocated.</summary>
    private static void CollectEagerly(ProcessStartInfo start) => start.Environment["DOTNET_GCgen0size"] = "10000";

    /// <summary>Makes a daemon allocate on its own threads: every call does.</summary>
    private static async Task HammerAsync(DaemonProcess daemon, CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            await daemon.Calls.ListMigrationsAsync(new ListMigrationsRequest());
            await daemon.GuestsAsync();
        }
    }

    private static async Task<ulong> CollectionsAsync(params DaemonProcess[] daemons)
    {
        ulong collections = 0;
        foreach (DaemonProcess daemon in daemons)
        {
            collections += (await daemon.Calls.GetNodeAsync(new GetNodeRequest())).Collections;
        }

        return collections;
    }
}
