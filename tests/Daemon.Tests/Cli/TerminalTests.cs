using System.Diagnostics;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Terminal;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>The real executable on a real terminal.</summary>
public sealed class TerminalTests : IAsyncLifetime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    [MachineFact(Needs.Terminal)]
    public async Task Watch_draws_a_view_and_ends_with_the_summary()
    {
        var paused = Samples.Migration(MigrationState.PostcopyPaused);
        paused.Reason = "the push lane is lost";
        paused.PagesTotal = 2048;
        _daemon.Updates.AddRange([Samples.Migration(MigrationState.Setup), paused, Samples.Migration()]);
        var (exitCode, screen) = await RunAsync("xterm-256color", "migration watch m1");

        Assert.Equal(ExitCode.Ok, exitCode);
        Assert.Contains("\u001b[?25l", screen, StringComparison.Ordinal);
        Assert.Contains("phase", screen, StringComparison.Ordinal);
        Assert.Contains("the push lane is lost", screen, StringComparison.Ordinal);
        Assert.Contains("[    32 us -    64 us ]:         20", screen, StringComparison.Ordinal);
        var summary = screen[screen.LastIndexOf("\u001b[?25h", StringComparison.Ordinal)..];
        Assert.Contains("total-time", summary, StringComparison.Ordinal);
        Assert.DoesNotContain("phase", summary, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Terminal)]
    public async Task Drain_draws_one_view_and_ends_with_what_became_of_each_guest()
    {
        var moving = new DrainGuest { Name = "web", State = DrainState.Moving, Migration = Samples.Migration(MigrationState.PrecopyActive) };
        var moved = new DrainGuest { Name = "web", State = DrainState.Moved, Migration = Samples.Migration() };
        _daemon.DrainUpdates.AddRange([new DrainUpdate { Guests = { moving } }, new DrainUpdate { Guests = { moved }, Ended = true }]);
        var (exitCode, screen) = await RunAsync("xterm-256color", "drain");

        Assert.Equal(ExitCode.Ok, exitCode);
        Assert.Contains("\u001b[?25l", screen, StringComparison.Ordinal);
        Assert.Contains("precopy-active", screen, StringComparison.Ordinal);
        Assert.Contains("moved 0 of 1 guests", screen, StringComparison.Ordinal);
        var summary = screen[screen.LastIndexOf("\u001b[?25h", StringComparison.Ordinal)..];
        Assert.Contains("web  moved to 127.0.0.1:7461 (m1)", summary, StringComparison.Ordinal);
        Assert.Contains("moved 1 of 1 guests of alpha", summary, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Terminal)]
    public async Task A_terminal_that_cannot_move_its_cursor_gets_lines()
    {
        _daemon.Updates.AddRange([Samples.Migration(MigrationState.Setup), Samples.Migration()]);
        var (exitCode, screen) = await RunAsync("dumb", "migration watch m1");
        Assert.Equal(ExitCode.Ok, exitCode);
        Assert.DoesNotContain('\u001b', screen);
        Assert.StartsWith("setup  1,024 of 1,024 pages", screen, StringComparison.Ordinal);
    }

    [MachineFact(Needs.Terminal)]
    public async Task Top_is_drawn_until_Ctrl_C_and_ends_well()
    {
        // The terminal turns the character into the signal, as it does for whoever presses the keys.
        var (exitCode, screen) = await RunAsync("xterm-256color", "top", interruptAt: "web");
        Assert.Equal(ExitCode.Ok, exitCode);
        Assert.Contains("alpha", screen, StringComparison.Ordinal);
        Assert.Contains("STEPS/S", screen, StringComparison.Ordinal);
    }

    /// <summary>Runs a command on a terminal of 120 columns; what came on its screen, without carriage returns.</summary>
    /// <param name="type">What TERM says.</param>
    /// <param name="command">The command line.</param>
    /// <param name="interruptAt">Ctrl-C is pressed when this is on the screen.</param>
    private async Task<(int ExitCode, string Screen)> RunAsync(string type, string command, string? interruptAt = null)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "migrationd");
        var start = new ProcessStartInfo(
            "script", ["--quiet", "--return", "--flush", "--command", $"stty cols 120 rows 50; exec {program} {command}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["TERM"] = type;
        start.Environment["MIGRATIOND_CONTROL"] = _daemon.Socket;
        // What build servers set, and what would take the colours or the cursor away.
        foreach (var variable in new[] { "CI", "GITHUB_ACTIONS", "NO_COLOR" })
        {
            start.Environment.Remove(variable);
        }

        using var process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            var screen = new System.Text.StringBuilder();
            var buffer = new char[4096];
            while (await process.StandardOutput.ReadAsync(buffer, deadline.Token) is > 0 and var count)
            {
                screen.Append(buffer, 0, count);
                if (interruptAt is not null && screen.ToString().Contains(interruptAt, StringComparison.Ordinal))
                {
                    interruptAt = null;
                    await process.StandardInput.WriteAsync('\u0003');
                    await process.StandardInput.FlushAsync(deadline.Token);
                }
            }

            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, screen.ToString().Replace("\r", "", StringComparison.Ordinal));
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }
}
