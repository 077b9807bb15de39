using System.Diagnostics;
using System.Text.Json.Nodes;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The command that a newcomer types first.</summary>
public sealed class DemoTests
{
    private static readonly string[] GuestKeys =
        ["corruptPages", "kind", "largestGapMs", "memoryBytes", "stepsAfter", "stepsBefore", "vcpus", "workingSetBytes"];

    private static readonly string[] MigrationKeys =
    [
        "blocktimeMs", "bytesSent", "copies", "downtimeMs", "faultLatencyUs", "moves2M", "moves4K", "pagesPush", "pagesRedundant",
        "pagesUrgent", "pagesZero", "state", "totalMs",
    ];

    private static readonly string[] LatencyKeys = ["count", "max", "p50", "p90", "p99", "p999"];

    [MachineTheory(Needs.Userfaultfd | Needs.Kvm)]
    [InlineData("kvm", "256MiB", "192MiB")]
    [InlineData("workload", "64MiB", "32MiB")]
    public async Task Its_JSON_is_one_object_with_the_verdict(string kind, string memory, string workingSet)
    {
        CommandResult result = await RunAsync("demo", "--json", "--guest", kind, "--memory", memory, "--working-set", workingSet);
        JsonObject demo = result.Succeeds().Json.AsObject();
        Assert.Equal("ok", (string)demo["verdict"]!);
        Assert.Equal(GuestKeys, Keys(demo["guest"]!));
        Assert.Equal(MigrationKeys, Keys(demo["migration"]!));
        Assert.Equal(LatencyKeys, Keys(demo["migration"]!["faultLatencyUs"]!));
        Assert.Equal(kind, (string)demo["guest"]!["kind"]!);
        Assert.Equal(0, (long)demo["guest"]!["corruptPages"]!);
        Assert.Equal("completed", (string)demo["migration"]!["state"]!);
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task Its_report_says_what_happened()
    {
        CommandResult result = await RunAsync("demo", "--guest", "workload", "--memory", "32MiB", "--working-set", "16MiB", "--placement", "copy");
        result.Succeeds();
        string[] words =
            ["downtime", "by fault", "by push", "as zeros", "fault latency", "corrupt pages", "largest gap", "verdict: ok"];
        foreach (string word in words)
        {
            Assert.Contains(word, result.Output, StringComparison.Ordinal);
        }

        // Who tries it in a working tree is told of the program that is shipped, below the figures.
        string below = result.Output[result.Output.IndexOf("verdict: ok", StringComparison.Ordinal)..];
        Assert.Equal(!ProgramUnderTest.Program.IsNative, below.Contains("deploy/native.sh", StringComparison.Ordinal));
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task It_refuses_a_guest_that_cannot_be() =>
        (await RunAsync("demo", "--memory", "32MiB", "--working-set", "64MiB")).Fails("working");

    private static string[] Keys(JsonNode node) => [.. node.AsObject().Select(pair => pair.Key).Order(StringComparer.Ordinal)];

    private static async Task<CommandResult> RunAsync(params string[] arguments)
    {
        using Process process = Process.Start(ProgramUnderTest.Start(arguments))!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }

        return new CommandResult($"migrationd {string.Join(' ', arguments)}", process.ExitCode, await output, await error);
    }
}
