using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What a real daemon tells the service manager that has started it.</summary>
public sealed class ServiceManagerTests
{
    private const int HangUp = 1;

    private const string Unanswered = "has not answered a call of its own";

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_service_manager_hears_of_the_start_of_guests_of_a_reload_and_of_the_end()
    {
        string address = $"@migrationd-test-{Guid.NewGuid():N}";
        using var manager = new DatagramListener(address);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha", start => start.Environment["NOTIFY_SOCKET"] = address);
        await manager.ReceiveAsync("READY=1");

        await daemon.CreateGuestAsync("web", "workload", "64MiB", "32MiB");
        await manager.ReceiveAsync("STATUS=1 guest running");

        daemon.Signal(HangUp);
        await manager.ReceiveAsync("RELOADING=1\nMONOTONIC_USEC=");
        await manager.ReceiveAsync("READY=1");

        Assert.Equal(0, await daemon.StopAsync());
        // The default of --stop-timeout, and some seconds more.
        await manager.ReceiveAsync("STOPPING=1\nEXTEND_TIMEOUT_USEC=80000000");
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_watchdog_hears_of_a_daemon_for_as_long_as_somebody_can_reach_it()
    {
        string address = $"@migrationd-test-{Guid.NewGuid():N}";
        using var manager = new DatagramListener(address);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha", start =>
        {
            start.Environment["NOTIFY_SOCKET"] = address;
            start.Environment["WATCHDOG_USEC"] = "2000000";
        });
        await manager.ReceiveAsync("WATCHDOG=1");
        await manager.ReceiveAsync("WATCHDOG=1");

        // Every thread of it runs on.
        File.Delete(daemon.Control);
        await LogsAsync(daemon, 1);
        manager.ReceiveAll();
        await LogsAsync(daemon, 3);
        Assert.DoesNotContain("WATCHDOG=1", manager.ReceiveAll());
    }

    private static async Task LogsAsync(DaemonProcess daemon, int times)
    {
        var clock = Stopwatch.StartNew();
        while (daemon.Log.Split(Unanswered).Length - 1 < times)
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), daemon.Log);
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }
}
