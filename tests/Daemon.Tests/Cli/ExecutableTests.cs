using System.Diagnostics;
using System.Text.Json;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>The real executable as a process: what only shows there.</summary>
public sealed class ExecutableTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    private static readonly string Executable = Path.Combine(AppContext.BaseDirectory, "migrationd");
    private static readonly string Missing = Path.Combine(Path.GetTempPath(), $"migrationd-{Guid.NewGuid():N}.sock");

    [Theory]
    [InlineData("guest list")]
    [InlineData("guest create x")]
    [InlineData("guest delete x")]
    [InlineData("migrate x --to 127.0.0.1:1")]
    [InlineData("migration watch x")]
    [InlineData("node")]
    [InlineData("health")]
    public async Task Without_a_daemon_it_ends_with_3_and_says_what_to_do(string command)
    {
        var run = await RunAsync($"{command} --control {Missing}");
        Assert.Equal((ExitCode.Unreachable, ""), (run.ExitCode, run.Out));
        Assert.Contains(Missing, run.Error, StringComparison.Ordinal);
        Assert.Contains("migrationd serve", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_file_that_nobody_listens_on_is_unreachable_as_well()
    {
        using var folder = new Hosting.TemporaryFolder();
        var run = await RunAsync($"guest list --json --control {folder.Write("control.sock", "")}");
        Assert.Equal((ExitCode.Unreachable, ""), (run.ExitCode, run.Out));
        Assert.Equal("unavailable", JsonDocument.Parse(run.Error).RootElement.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task The_control_socket_can_come_from_the_environment()
    {
        var run = await RunAsync("guest list", ("MIGRATIOND_CONTROL", Missing));
        Assert.Contains(Missing, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_output_is_json_and_nothing_else()
    {
        var run = await RunAsync("doctor --json");
        var verdict = JsonDocument.Parse(run.Out).RootElement.GetProperty("verdict").GetString();
        Assert.Equal((verdict == "failed" ? ExitCode.Failed : ExitCode.Ok, ""), (run.ExitCode, run.Error));
    }

    [Fact]
    public async Task It_tells_its_version()
    {
        var run = await RunAsync("--version");
        Assert.Equal(0, run.ExitCode);
        Assert.Matches(@"^\d+\.\d+\.\d+", run.Out);
    }

    [Fact]
    public async Task Serve_with_a_wrong_configuration_ends_with_2_and_names_every_mistake()
    {
        var run = await RunAsync("serve --listen nowhere", ("MIGRATIOND_LOG_FORMAT", "xml"));
        Assert.Equal((ExitCode.Usage, ""), (run.ExitCode, run.Out));
        Assert.Contains("--listen \"nowhere\" (flag)", run.Error, StringComparison.Ordinal);
        Assert.Contains("MIGRATIOND_LOG_FORMAT \"xml\" (environment)", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_that_cannot_be_written_leaves_nothing_behind()
    {
        using var folder = new Hosting.TemporaryFolder();
        string authority = folder.PathOf("ca");

        // No file may have a byte, and the signal that says so is ignored; the runtime's own memory is no file then either.
        var run = await RunAsync(
            new ProcessStartInfo(
                "sh",
                ["-c", "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\"", Executable, "certs", "init", "--dir", authority]),
            ("DOTNET_EnableWriteXorExecute", "0"));

        Assert.Equal((ExitCode.Failed, ""), (run.ExitCode, run.Out));
        Assert.Contains($"cannot write {authority}/ca-key.pem: ", run.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(authority));
    }

    private static Task<CliRun> RunAsync(string arguments, params (string Name, string Value)[] environment) =>
        RunAsync(new ProcessStartInfo(Executable, arguments), environment);

    private static async Task<CliRun> RunAsync(ProcessStartInfo start, params (string Name, string Value)[] environment)
    {
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        try
        {
            using var deadline = new CancellationTokenSource(Deadline);
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var error = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return new CliRun(process.ExitCode, await output, await error);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }
}
