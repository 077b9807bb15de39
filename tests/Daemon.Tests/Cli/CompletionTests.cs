using System.Diagnostics;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Cli;

public sealed class CompletionTests : IAsyncLifetime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    [Theory]
    [InlineData("gu", "guest")]
    [InlineData("migration re", "recover resolve")]
    [InlineData("guest ", "console create delete dump hash list pause resume show")]
    [InlineData("migrate web --pl", "--placement")]
    [InlineData("migrate web --placement ", "copy move")]
    [InlineData("demo --guest k", "kvm")]
    [InlineData("completion ", "bash fish zsh")]
    [InlineData("node --j", "--json")]
    [InlineData("guest show nothing-begins-so", "")]
    public async Task What_can_follow_is_suggested(string line, string expected) =>
        Assert.Equal(expected.Split(' ', StringSplitOptions.RemoveEmptyEntries), await SuggestAsync(line, line.Length));

    [Fact]
    public async Task Only_what_is_before_the_cursor_counts() =>
        Assert.Equal(["guest"], await SuggestAsync("gu web", 2));

    [Fact]
    public async Task Guests_and_migrations_are_suggested_by_the_daemon()
    {
        _daemon.Updates.Add(Samples.Migration());
        Assert.Equal(["web"], await SuggestAsync($"guest pause --control {_daemon.Socket} "));
        Assert.Equal(["m1"], await SuggestAsync($"migration show --control {_daemon.Socket} m"));
        Assert.DoesNotContain("web", await SuggestAsync("guest pause --control /nonexistent.sock "));
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public async Task Each_shell_has_a_script_that_asks_the_program(string shell)
    {
        var run = await CliRun.OfAsync(["completion", shell]);
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Contains("[suggest:", run.Out, StringComparison.Ordinal);
        Assert.EndsWith("\n", run.Out, StringComparison.Ordinal);
    }

    [MachineTheory(Needs.Bash)]
    [InlineData("migrationd mig", "migrate migration")]
    [InlineData("migrationd   migration  sh", "show")]
    [InlineData("migrationd migrate web --placement c", "copy")]
    [InlineData("migrationd guest pause ", "web")]
    [InlineData("migrationd guest pause x", "")]
    public async Task Bash_completes_with_it(string line, string expected)
    {
        // A name that a shell would carry out if it were expanded anywhere.
        _daemon.Guests.Add(Samples.Guest());
        _daemon.Guests[1].Spec.Name = "$(touch hostile)";
        Assert.Equal(
            expected.Split(' ', StringSplitOptions.RemoveEmptyEntries),
            (await BashAsync(line)).Where(word => word != "$(touch hostile)"));
    }

    private static async Task<string[]> SuggestAsync(string line, int? position = null)
    {
        var run = await CliRun.OfAsync([$"[suggest:{position ?? line.Length}]", line]);
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        return run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>What bash offers at the end of a line, with the script sourced and the built program on the PATH.</summary>
    private async Task<string[]> BashAsync(string line)
    {
        // As bash does before it calls a function for completion: the line as it is, and its words, the last one empty after a blank.
        const string Ask = """
            source <(migrationd completion bash)
            COMP_LINE=$1 COMP_POINT=${#1}
            read -ra COMP_WORDS <<< "$1"
            [[ $1 == *' ' ]] && COMP_WORDS+=('')
            COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            complete -p migrationd >/dev/null || exit 1
            _migrationd
            printf '%s\n' "${COMPREPLY[@]}"
            """;
        var folder = Directory.CreateTempSubdirectory("migrationd-test-");
        try
        {
            var start = new ProcessStartInfo("bash", ["--norc", "-c", Ask, "bash", line])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = folder.FullName,
            };
            start.Environment["PATH"] = $"{AppContext.BaseDirectory}:{start.Environment["PATH"]}";
            start.Environment["MIGRATIOND_CONTROL"] = _daemon.Socket;
            using var process = Process.Start(start)!;
            using var deadline = new CancellationTokenSource(Deadline);
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var error = process.StandardError.ReadToEndAsync(deadline.Token);
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

            Assert.Equal((0, ""), (process.ExitCode, await error));
            Assert.Empty(folder.GetFiles());
            return (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
