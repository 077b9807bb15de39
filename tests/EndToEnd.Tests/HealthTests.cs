using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What <c>migrationd health</c> says of a real daemon.</summary>
public sealed class HealthTests
{
    private const int Stop = 19;
    private const int Continue = 18;

    [MachineFact(Needs.Userfaultfd | Needs.Kvm)]
    public async Task ADaemonIsWellUntilItHangsAndAgainWhenItGoesOn()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        CommandResult well = (await daemon.CliAsync("health", "--json")).Succeeds();
        Assert.Equal(("ok", "alpha"), ((string)well.Json["verdict"]!, (string)well.Json["node"]!));
        Assert.Equal(["lanes", "userfaultfd", "kvm"], well.Json["checks"]!.AsArray().Select(check => (string)check!["name"]!));

        daemon.Signal(Stop);
        CommandResult hanging = (await daemon.CliAsync("health")).Fails("did not answer in time", daemon.Control);
        Assert.Equal(3, hanging.ExitCode);

        daemon.Signal(Continue);
        Assert.StartsWith("node alpha is well: ", (await daemon.CliAsync("health")).Succeeds().Output, StringComparison.Ordinal);
        Assert.DoesNotContain("lane did not begin", daemon.Log, StringComparison.OrdinalIgnoreCase);
    }
}
