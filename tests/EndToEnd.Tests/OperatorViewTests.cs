using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>What operators see of real migrations.</summary>
public sealed class OperatorViewTests
{
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const long Pages = 64 * 256;

    [MachineTheory(Host)]
    [InlineData("kvm")]
    [InlineData("workload")]
    public async Task Show_has_every_figure_on_both_sides(string kind)
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", kind, "64MiB", "48MiB");
        string id = (await source.MigrateAsync(HardlyPushed(destination), destination)).Id;

        JsonNode there = (await destination.CliAsync("migration", "show", id, "--json")).Succeeds().Json;
        JsonNode here = (await source.CliAsync("migration", "show", id, "--json")).Succeeds().Json;
        foreach (JsonNode shown in new[] { here, there })
        {
            JsonNode info = shown["queryMigrate"]!;
            JsonNode ram = info["ram"]!;
            Assert.Equal("completed", (string)info["status"]!);
            Assert.Equal((Pages * 4096, 0), ((long)ram["total"]!, (long)ram["remaining"]!));
            Assert.Equal(Pages, (long)ram["normal"]! + (long)ram["duplicate"]!);
            Assert.True((long)ram["transferred"]! > (long)ram["normal-bytes"]!, shown.ToString());
            Assert.Equal((long)ram["transferred"]!, (long)ram["downtime-bytes"]! + (long)ram["postcopy-bytes"]!);
            Assert.True((double)ram["mbps"]! > 0 && (long)ram["pages-per-second"]! > 0, shown.ToString());
            Assert.True((long)info["setup-time"]! <= (long)info["total-time"]!, shown.ToString());
            Assert.Equal(2, info["postcopy-vcpu-blocktime"]!.AsArray().Count);
            Assert.Equal((long)shown["faultLatencyUs"]!["count"]!, info["postcopy-latency-dist"]!.AsArray().Sum(count => (long)count!));
            Assert.Equal((long)ram["postcopy-requests"]!, (long)shown["domJobInfo"]!["memory_postcopy_requests"]!);

            // Each wait has its three parts, and is a vCPU's or somebody else's.
            long faults = (long)shown["faultLatencyUs"]!["count"]!;
            Assert.True(faults > 0, shown.ToString());
            string[] parts = ["faultQueueUs", "faultNetworkUs", "faultPlaceUs"];
            Assert.All(parts, part => Assert.Equal(faults, (long)shown[part]!["count"]!));
            long waits = shown["vcpus"]!.AsArray().Sum(vcpu => (long)vcpu!["faults"]!) + (long)shown["otherThreads"]!["faults"]!;
            Assert.True(waits > 0, shown.ToString());
        }

        // Only the source knows when the guest stood still; the other side says that it does not.
        Assert.True((double)here["downtimeMs"]! > 0, here.ToString());
        Assert.Null(there["downtimeMs"]);
        Assert.Null(there["queryMigrate"]!["downtime"]);
        string text = (await destination.CliAsync("migration", "show", id)).Succeeds().Output;
        Assert.Matches(@"(?m)^downtime +-$", text);
        Assert.Matches(@"(?m)^  \[ +\d+ (us|ms|sec) - +\d+ (us|ms|sec) \]: +\d+", text);
    }

    [MachineFact(Host)]
    public async Task The_waits_of_a_workload_are_its_walkers()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "workload", "64MiB", "48MiB");
        string id = (await source.MigrateAsync(HardlyPushed(destination), destination)).Id;

        JsonNode shown = (await destination.CliAsync("migration", "show", id, "--json")).Succeeds().Json;
        Assert.All(shown["vcpus"]!.AsArray(), vcpu => Assert.True((long)vcpu!["faults"]! > 0, shown.ToString()));
        double blocktime = shown["vcpus"]!.AsArray().Sum(vcpu => (double)vcpu!["blocktimeMs"]!);
        Assert.True((double)shown["allVcpusBlocktimeMs"]! <= blocktime / 2 + 0.001, shown.ToString());
    }

    [MachineFact(Host)]
    public async Task Top_shows_guests_and_migrations_of_a_node()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("mover", "workload", "32MiB", "16MiB");
        await source.CreateGuestAsync("stayer", "workload", "32MiB", "16MiB");
        string id = (await source.MigrateAsync("mover", destination)).Id;

        string text = (await source.CliAsync("top")).Succeeds().Output;
        Assert.StartsWith("source ", text, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^stayer +workload +running", text);
        Assert.Matches($@"(?m)^{id} +mover +source +{destination.Listen} +completed +[█▓▒]+ +100%", text);
        JsonNode json = (await destination.CliAsync("top", "--json")).Succeeds().Json;
        Assert.Equal(
            ("destination", "mover", id),
            ((string)json["node"]!["name"]!, (string)json["guests"]![0]!["name"]!, (string)json["migrations"]![0]!["id"]!));
    }

    [MachineFact(Host)]
    public async Task Completion_asks_the_daemon()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("node");
        await daemon.CreateGuestAsync("only-one", "workload", "32MiB", "16MiB");
        string line = $"guest show --control {daemon.Control} on";
        ProcessStartInfo start = ProgramUnderTest.Start($"[suggest:{line.Length}]", line);
        using Process process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        Assert.Equal("only-one\n", await process.StandardOutput.ReadToEndAsync(deadline.Token));
        await process.WaitForExitAsync(deadline.Token);
        Assert.Equal(0, process.ExitCode);
    }

    [MachineFact(Host | Needs.Terminal)]
    public async Task Migrate_draws_its_view_on_a_terminal()
    {
        await using DaemonProcess source = await DaemonProcess.StartAsync("source");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination");
        await source.CreateGuestAsync("g", "kvm", "128MiB", "96MiB");

        string command = $"{ProgramUnderTest.Start().FileName} migrate g --to {destination.Listen} --control {source.Control}";
        var start = new ProcessStartInfo(
            "script", ["--quiet", "--return", "--command", $"stty cols 120 rows 50; exec {command}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["TERM"] = "xterm-256color";
        foreach (string variable in new[] { "CI", "GITHUB_ACTIONS", "NO_COLOR" })
        {
            start.Environment.Remove(variable);
        }

        using Process process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string screen;
        try
        {
            screen = (await process.StandardOutput.ReadToEndAsync(deadline.Token)).Replace("\r", "", StringComparison.Ordinal);
            await process.WaitForExitAsync(deadline.Token);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }

        Assert.Equal(0, process.ExitCode);
        int drawn = screen.IndexOf("phase", StringComparison.Ordinal);
        int shown = screen.LastIndexOf("\u001b[?25h", StringComparison.Ordinal);
        Assert.True(drawn >= 0 && drawn < shown, screen);
        Assert.Contains($"guest g  to {destination.Listen}", screen, StringComparison.Ordinal);
        string summary = Regex.Replace(screen[shown..], @"\x1b\[[0-9;?]*[A-Za-z]", "");
        Assert.Matches(@"(?m)^status +completed$", summary);
        await destination.GuestIsWellAsync("g");
    }

    /// <summary>A guest that has to ask for what it needs: nothing else would bring it in time, however busy the machine is.</summary>
    private static MigrateRequest HardlyPushed(DaemonProcess destination)
    {
        MigrateRequest order = DaemonProcess.Order("g", destination.Listen);
        order.PostcopyBandwidth = 2 << 20;
        return order;
    }
}
