using System.Text.Json;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Figures;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>
/// The commands that empty a host, against a real server on a unix socket; what a real daemon does is in the end-to-end tests.
/// </summary>
public sealed class DrainCommandTests : IAsyncLifetime
{
    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    private Task<CliRun> Run(params string[] args) => CliRun.OfAsync([.. args, "--control", _daemon.Socket]);

    [Fact]
    public async Task What_is_asked_for_reaches_the_daemon()
    {
        _daemon.DrainUpdates.Add(new DrainUpdate { Ended = true });
        await Run("drain", "--to", "10.0.0.6:7461", "[::1]:7461", "--parallel", "7", "--mode", "precopy", "--placement", "copy");
        Assert.Equal(["10.0.0.6:7461", "[::1]:7461"], _daemon.DrainAsked!.To);
        Assert.Equal(
            (7u, MigrationMode.Precopy, Placement.Copy),
            (_daemon.DrainAsked.Parallel, _daemon.DrainAsked.Plan.Mode, _daemon.DrainAsked.Plan.Placement));

        await Run("drain");
        Assert.Empty(_daemon.DrainAsked.To);
        Assert.Equal(2u, _daemon.DrainAsked.Parallel);
    }

    [Fact]
    public async Task A_host_that_is_empty_ends_with_0_and_a_line_for_each_turn()
    {
        _daemon.DrainUpdates.AddRange([
            Update(Guest("web", DrainState.Waiting)),
            new DrainUpdate { Peers = { new DrainPeer { Address = "b:1", Problem = "it is off" } } },
            Update(Guest("web", DrainState.Moving, migration: Samples.Migration(MigrationState.Setup))),
            Update(Guest("web", DrainState.Moving, migration: Samples.Migration(MigrationState.Setup))),
            Update(Guest("web", DrainState.Moved, migration: Samples.Migration()), ended: true),
        ]);
        var run = await Run("drain");
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Equal(
            [
                "web  waiting",
                "b:1 can have no guests: it is off",
                "web  moving to 127.0.0.1:7461 (m1)  setup",
                "web  moved to 127.0.0.1:7461 (m1)  2.5 s  downtime 8.25 ms",
            ],
            run.Out.Split('\n')[..4]);
        Assert.StartsWith("moved 1 of 1 guests of alpha, 4.0 MiB, in ", run.Out.Split('\n')[4], StringComparison.Ordinal);
        Assert.Contains("migrationd undrain", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guests_that_stayed_are_named_each_with_its_reason_and_the_end_is_1()
    {
        _daemon.DrainUpdates.Add(Update(
            [
                Guest("db", DrainState.Stayed, "b:1: too small"), Guest("old", DrainState.Gone, "moved before"),
                Guest("web", DrainState.Moved, migration: Samples.Migration()), Guest("x", DrainState.Stayed, "it failed"),
            ],
            ended: true));
        var run = await Run("drain");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Equal("migrationd: 2 guests stayed on alpha:\n  db: b:1: too small\n  x: it failed\n", run.Error);
        Assert.Contains("moved 1 of 3 guests", run.Out, StringComparison.Ordinal);

        var json = await Run("drain", "--json");
        Assert.Equal(ExitCode.Failed, json.ExitCode);
        Assert.Equal("guests-stayed", JsonDocument.Parse(json.Error).RootElement.GetProperty("error").GetProperty("code").GetString());
        var summary = JsonDocument.Parse(json.Out.TrimEnd().Split('\n')[^1]).RootElement;
        Assert.Equal("stayed", summary.GetProperty("verdict").GetString());
        Assert.Equal(["db", "x"], summary.GetProperty("stayed").EnumerateArray().Select(guest => guest.GetProperty("guest").GetString()));
    }

    [Fact]
    public async Task With_json_each_turn_is_an_object_a_line_and_the_summary_is_the_last()
    {
        _daemon.DrainUpdates.AddRange([
            Update(Guest("web", DrainState.Waiting)),
            Update(Guest("web", DrainState.Moved, migration: Samples.Migration()), ended: true),
        ]);
        var run = await Run("drain", "--json");
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        JsonElement[] lines = [.. run.Out.TrimEnd().Split('\n').Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(["waiting", "moved"], lines[..^1].Select(line => line.GetProperty("state").GetString()));
        Assert.Equal("drained", lines[^1].GetProperty("verdict").GetString());
    }

    [Fact]
    public async Task Ctrl_C_says_what_goes_on_and_what_to_do_next()
    {
        var moving = Samples.Migration(MigrationState.PostcopyActive);
        _daemon.Updates.AddRange([Samples.Migration(), moving]);
        _daemon.DrainUpdates.Add(Update(Guest("web", DrainState.Moving, migration: moving)));
        _daemon.DrainForever = true;
        using var interrupt = new CancellationTokenSource();
        var running = CliRun.OfAsync(["drain", "--control", _daemon.Socket], interrupt.Token);
        await _daemon.Drained.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await interrupt.CancelAsync();
        var run = await running;
        Assert.Equal(ExitCode.Interrupted, run.ExitCode);
        Assert.Equal(
            "migrationd: stopped: no more guests are moved; under way, and going on: web (m1 to 127.0.0.1:7461). The daemon takes in no "
            + "guests until 'migrationd undrain'; go on with 'migrationd drain'.\n",
            run.Error);
    }

    [Fact]
    public async Task A_stream_that_ends_too_early_is_no_success()
    {
        _daemon.DrainUpdates.Add(Update(Guest("web", DrainState.Waiting)));
        var run = await Run("drain");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("before the end", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Undrain_says_that_the_daemon_takes_guests()
    {
        Assert.Equal(new CliRun(ExitCode.Ok, "alpha takes in guests\n", ""), await Run("undrain"));
        Assert.Equal("{\"node\":\"alpha\",\"drained\":false}\n", (await Run("undrain", "--json")).Out);
    }

    [Fact]
    public void The_view_has_a_line_for_each_guest_that_moves_what_holds_others_up_and_the_sum()
    {
        var moving = Samples.Migration(MigrationState.PostcopyActive);
        moving.PagesTotal = 2048;
        moving.PagesPerSecond = 512;
        moving.BytesPerSecond = 2.5e6;
        var paused = Samples.Migration(MigrationState.PostcopyPaused);
        (paused.Guest, paused.Reason, paused.PagesTotal) = ("db", "the link is lost", 1024);
        (paused.PagesPerSecond, paused.BytesPerSecond) = (0, 0);
        var tally = new DrainTally();
        tally.Add(Update(
            [
                Guest("web", DrainState.Moving, migration: moving), Guest("db", DrainState.Moving, migration: paused),
                Guest("big", DrainState.Stayed, "b:1: too small"), Guest("next", DrainState.Waiting), Guest("old", DrainState.Gone),
                Guest("done", DrainState.Moved, migration: Samples.Migration()),
            ]));
        using var console = new RecordedConsole(width: 160);
        console.Ansi.Write(DrainLiveView.Of(tally, TimeSpan.FromSeconds(3), 160));
        string[] lines = console.Lines;

        Assert.Equal(
            ["GUEST", "TO", "STATE", "RAM", "RATE", "ETA", "DOWNTIME"], lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("db ", lines[1], StringComparison.Ordinal);
        Assert.Contains("postcopy-paused", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("web ", lines[2], StringComparison.Ordinal);
        Assert.Contains("50%", lines[2], StringComparison.Ordinal);
        Assert.Contains("20.0 Mbit/s", lines[2], StringComparison.Ordinal);
        Assert.Equal(["db stands still: the link is lost", "big stayed: b:1: too small"], lines[3..5]);
        Assert.Equal(
            "moved 1 of 5 guests, 4.0 MiB of 20.0 MiB, 2 under way, 1 waiting, 1 stayed  20.0 Mbit/s  3.0 s  ETA 4.0 s", lines[5]);
    }

    [Fact]
    public async Task On_a_terminal_it_is_drawn_over_and_over_and_gone_at_the_end()
    {
        using var console = new RecordedConsole(isTerminal: true);
        var tally = new DrainTally();
        await new DrainProgress(tally).ShowLiveAsync(console.Ansi, Updates(
            Update(Guest("web", DrainState.Moving, migration: Samples.Migration(MigrationState.Setup))),
            Update(Guest("web", DrainState.Moved, migration: Samples.Migration()), ended: true)));
        Assert.True(tally.Ended);
        Assert.Contains("1 under way", console.Written, StringComparison.Ordinal);
        Assert.Contains("\u001b[?25l", console.Written, StringComparison.Ordinal);
        Assert.Contains("\u001b[2K", console.Written, StringComparison.Ordinal);
        Assert.Contains("\u001b[?25h", console.Written, StringComparison.Ordinal);
    }

    private static DrainUpdate Update(DrainGuest guest, bool ended = false) => Update([guest], ended);

    private static DrainUpdate Update(DrainGuest[] guests, bool ended = false) => new() { Guests = { guests }, Ended = ended };

    private static DrainGuest Guest(string name, DrainState state, string reason = "", Migration? migration = null) =>
        new() { Name = name, MemoryBytes = 4 << 20, State = state, Reason = reason, Migration = migration };

    private static async IAsyncEnumerable<DrainUpdate> Updates(params DrainUpdate[] updates)
    {
        foreach (var update in updates)
        {
            await Task.Yield();
            yield return update;
        }
    }
}
