using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What <c>migrationd health</c> says of a real daemon.</summary>
public sealed class HealthTests
{
    private const int Stop = 19;
    private const int Continue = 18;

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task A_daemon_is_well_until_it_hangs_and_again_when_it_goes_on()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        CommandResult well = await WellAsync(daemon, "--json");
        Assert.Equal(("ok", "alpha"), ((string)well.Json["verdict"]!, (string)well.Json["node"]!));
        Assert.Equal(["lanes", "userfaultfd", "kvm"], well.Json["checks"]!.AsArray().Select(check => (string)check!["name"]!));

        daemon.Signal(Stop);
        CommandResult hanging = (await daemon.CliAsync("health")).Fails("did not answer in time", daemon.Control);
        Assert.Equal(3, hanging.ExitCode);

        daemon.Signal(Continue);
        Assert.StartsWith("node alpha is well: ", (await WellAsync(daemon)).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("lane did not begin", daemon.Log, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Asks until it is well: the command waits five seconds for an answer, which a busy machine may exceed.</summary>
    private static async Task<CommandResult> WellAsync(DaemonProcess daemon, params string[] options)
    {
        var clock = Stopwatch.StartNew();
        CommandResult asked;
        do
        {
            asked = await daemon.CliAsync(["health", .. options]);
        }
        while (asked.ExitCode != 0 && clock.Elapsed < TimeSpan.FromSeconds(60));

        return asked.Succeeds();
    }
}
