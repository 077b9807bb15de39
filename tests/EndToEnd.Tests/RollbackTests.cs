using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Whatever happens before Run is sent, the guest goes on where it was.</summary>
public sealed class RollbackTests(ITestOutputHelper output)
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;

    [MachineTheory(Host)]
    [InlineData("kvm", false)]
    [InlineData("workload", false)]
    [InlineData("kvm", true)]
    [InlineData("workload", true)]
    public async Task A_destination_that_is_silent_at_the_switchover(string kind, bool onLane)
    {
        using var over = new ManualResetEventSlim();
        await using DaemonProcess source = await DaemonProcess.StartAsync("source", "--switchover-timeout", "900ms");
        await using ScriptedDestination destination = await ScriptedDestination.StartAsync();
        destination.TakesHandover = onLane;
        destination.OnLoadState = _ =>
        {
            over.Wait();
            return new LoadStateResponse();
        };
        try
        {
            await source.CreateGuestAsync("g", kind, "64MiB", "32MiB");

            (await source.CliAsync("migrate", "g", "--to", destination.Address, "--mode", "postcopy")).Fails("LoadState");

            await source.GuestIsWellAsync("g");
            Assert.DoesNotContain(destination.Calls, call => call.EndsWith("Run", StringComparison.Ordinal));
            Assert.Contains(onLane ? "lane LoadState" : "LoadState", destination.Calls);
            ulong gap = (await source.GuestAsync("g")).Report.LargestGapUs;
            string how = onLane ? "lane" : "calls";
            output.WriteLine($"Figure: rollback from a silent destination, {kind} guest, {how}, it stood still for {gap / 1000} ms");
        }
        finally
        {
            over.Set();
        }
    }

    [MachineFact(Host)]
    public async Task A_destination_that_is_killed_before_Run()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "64MiB", "32MiB");
        destination.Signal(19);
        string id = await source.BeginMigrationAsync("g", destination);
        Assert.Equal(MigrationState.Setup, (await source.MigrationUntilAsync(id, _ => true)).State);

        await destination.KillAsync();

        Migration failed = await source.MigrationUntilAsync(id, now => now.State == MigrationState.Failed);
        Assert.NotEqual("", failed.Reason);
        await source.GuestIsWellAsync("g");
    }
}
