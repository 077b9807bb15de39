using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>A source comes back at the very moment at which it is given up.</summary>
public sealed class ReturningSourceTests
{
    private const int StopSignal = 19;
    private const int ContinueSignal = 18;

    /// <summary>
    /// It has been told which pages are there, and opens its lanes only when the guest has been declared lost. The lanes count, and the guest
    /// goes on as it was: one that an operator had paused stays paused.
    /// </summary>
    [MachineTheory(Needs.Userfaultfd)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_guest_that_is_given_up_meanwhile_goes_on_as_it_was(bool paused)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = "source.recover-lanes:stop", "--link-timeout", "2s");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "512MiB", "448MiB", pattern: "sequential");
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen);
        order.PostcopyBandwidth = 64 << 10;
        string id = (await source.Calls.MigrateAsync(order)).Id;
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyActive);
        if (paused)
        {
            await destination.Calls.PauseGuestAsync(new PauseGuestRequest { Name = "g" });
        }

        destination.Signal(StopSignal);
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyPaused);
        destination.Signal(ContinueSignal);
        await source.StoppedAsync();
        // It has answered. The end of the lanes that it had before may be noticed on their threads after the question.
        await destination.MigrationUntilAsync(
            id, one => one.State is MigrationState.PostcopyRecover or MigrationState.PostcopyPaused);
        (await destination.CliAsync("migration", "resolve", id, "--give-up")).Succeeds();
        Assert.Equal(GuestState.Failed, (await destination.GuestAsync("g")).State);

        source.Signal(ContinueSignal);
        await destination.MigrationUntilAsync(id, one => one.State == MigrationState.PostcopyActive);
        await source.Calls.SetMigrationAsync(new SetMigrationRequest { Id = id, PostcopyBandwidth = 0 });
        await source.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Migration there = await destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);
        Assert.Equal((0UL, true), (there.PagesLost, there.Recoveries >= 1));
        Assert.Equal(paused ? GuestState.Paused : GuestState.Running, (await destination.GuestAsync("g")).State);
        await destination.Calls.ResumeGuestAsync(new ResumeGuestRequest { Name = "g" });
        await destination.GuestIsWellAsync("g");
    }
}
