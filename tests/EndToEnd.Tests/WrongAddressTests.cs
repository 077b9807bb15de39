using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>An operator mistypes the address at which the destination is to be dialled.</summary>
public sealed class WrongAddressTests
{
    private const int StopSignal = 19;
    private const int ContinueSignal = 18;

    /// <summary>A healthy daemon answers there, and does not have the guest, which runs elsewhere: no reason to let it run here as well.</summary>
    [MachineFact(Needs.Userfaultfd)]
    public async Task ThatAStrangerDoesNotHaveTheGuestSaysNothing()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--link-timeout", "2s", "--recovery-timeout", "2s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await using DaemonProcess stranger = await DaemonProcess.StartAsync("stranger");
        await source.CreateGuestAsync("g", "workload", "512MiB", "448MiB", pattern: "sequential");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen);
        order.PostcopyBandwidth = 16 << 20;
        string id = (await source.CallAsync(ControlMethods.Migrate, order)).Id;
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyActive);
        destination.Signal(StopSignal);
        await source.MigrationUntilAsync(id, one => one.Reason.Contains("was not reached", StringComparison.Ordinal));

        await source.CallAsync(ControlMethods.RecoverMigration, new RecoverMigrationRequest { Id = id, To = stranger.Listen });
        Migration told = await source.MigrationUntilAsync(
            id, one => one.Reason.Contains("knows nothing of this migration", StringComparison.Ordinal));
        Assert.Contains(stranger.Listen, told.Reason, StringComparison.Ordinal);
        Assert.DoesNotContain("--resume-here", told.Reason, StringComparison.Ordinal);
        Assert.Equal((MigrationState.PostcopyPaused, destination.Listen), (told.State, told.Peer));

        (await source.CliAsync("migration", "resolve", id, "--resume-here")).Fails(destination.Listen, "does not answer", "--force");
        Assert.Equal(GuestState.Migrated, (await source.GuestAsync("g")).State);

        // Without an address it is dialled where it was.
        destination.Signal(ContinueSignal);
        CommandResult recovered;
        do
        {
            recovered = await source.CliAsync("migration", "recover", id);
        }
        while (recovered.ExitCode != 0 && recovered.Error.Contains("was not reached", StringComparison.Ordinal));
        recovered.Succeeds();
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        await destination.GuestIsWellAsync("g");
    }
}
