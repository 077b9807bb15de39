using Grpc.Core;
using Grpc.Health.V1;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Daemons that end while a guest's memory is in two places: in order, or not, and started again.</summary>
public sealed class StopTests
{
    private const Needs Hosts = Needs.Userfaultfd | Needs.Kvm | Needs.NetworkNamespaces;

    // 64 MiB take three seconds, or half a minute: there is time to do something while pages are missing.
    private const string Rate = "200mbit";
    private const string SlowRate = "20mbit";

    [MachineFact(Hosts)]
    public async Task A_daemon_that_is_stopped_finishes_its_migration_first()
    {
        using var network = NetworkPair.Create(Rate);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter);
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive);

        Assert.Equal(0, await source.StopAsync());

        Migration migration = await destination.MigrationUntilAsync(id, now => now.State == MigrationState.Completed);
        Assert.Equal(0u, migration.Recoveries);
        await destination.GuestIsWellAsync("g");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_stream_that_is_open_ends_with_a_word_when_its_daemon_stops()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        using CallChannel channel = CallChannel.Connect($"unix:{daemon.Control}");
        using var probe = new Grpc.Health.V1.Health.HealthClient(channel.Invoker).Watch(new HealthCheckRequest());
        Assert.True(await probe.ResponseStream.MoveNext());

        Task<bool> more = probe.ResponseStream.MoveNext();
        Assert.Equal(0, await daemon.StopAsync());

        Refusal ended = await Assert.ThrowsAsync<Refusal>(() => more);
        Assert.Equal(Because.Unreachable, ended.Why);
        Assert.Contains("shutting down", ended.Message, StringComparison.Ordinal);
    }

    [MachineFact(Hosts)]
    public async Task A_daemon_that_cannot_finish_within_its_stop_timeout_says_so()
    {
        using var network = NetworkPair.Create(SlowRate);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter, "--stop-timeout", "1s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter);
        await source.CreateGuestAsync("g", "workload", "96MiB", "64MiB");
        string id = await source.BeginMigrationAsync("g", destination);
        await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive);
        destination.Signal(19);

        Assert.Equal(0, await source.StopAsync());

        Assert.Contains("has not ended within the stop timeout", source.Log, StringComparison.Ordinal);
        Assert.Contains(id, source.Log, StringComparison.Ordinal);
    }

    [MachineFact(Hosts)]
    public async Task A_destination_that_was_started_again_is_known_and_the_guest_goes_on_at_the_source()
    {
        using var network = NetworkPair.Create(SlowRate);
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", network.One.Enter, "--link-timeout", "2s");
        string id;
        string[] addresses;
        await using (DaemonProcess destination = await DaemonProcess.StartAsync("destination", network.Two.Enter))
        {
            addresses = ["--listen", destination.Listen, "--lanes", destination.Lanes];
            await source.CreateGuestAsync("g", "kvm", "96MiB", "64MiB");
            id = await source.BeginMigrationAsync("g", destination);
            await destination.MigrationUntilAsync(id, now => now.State == MigrationState.PostcopyActive && now.PagesReceived > 1000);
            await destination.KillAsync();
        }

        await using DaemonProcess again = await DaemonProcess.StartAsync("destination", start =>
        {
            network.Two.Enter(start);
            foreach ((string option, string address) in addresses.Chunk(2).Select(pair => (pair[0], pair[1])))
            {
                start.ArgumentList[start.ArgumentList.IndexOf(option) + 1] = address;
            }
        });
        await source.MigrationUntilAsync(id, now => now.Reason.Contains("does not have the guest any more", StringComparison.Ordinal));
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);

        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Succeeds();
        await source.GuestIsWellAsync("g");
        Assert.Empty(await again.GuestsAsync());
    }
}
