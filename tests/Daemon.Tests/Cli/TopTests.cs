using System.Text.Json;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Daemon.Cli.Commands;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

public sealed class TopTests : IAsyncLifetime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    [Fact]
    public async Task Elsewhere_than_on_a_terminal_it_is_printed_once()
    {
        _daemon.Updates.AddRange([Samples.Migration(), Samples.Migration(MigrationState.PostcopyActive)]);
        var run = await CliRun.OfAsync(["top", "--control", _daemon.Socket]);

        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.DoesNotContain('\u001b', run.Out);
        var lines = run.Out.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToArray();
        Assert.StartsWith("alpha  migrationd", run.Out, StringComparison.Ordinal);
        Assert.Contains("guests 1, running 1  migrations 2, under way 1", run.Out, StringComparison.Ordinal);
        Assert.Contains(lines, line => line.SequenceEqual(["web", "kvm", "running", "4MiB", "2", "-", "100", "0", "-"]));
        Assert.Equal(["postcopy-active", "completed"], lines.Where(line => line is ["m1", ..]).Select(line => line[4]));
    }

    [Fact]
    public async Task Its_JSON_is_one_object_with_all_that_is_on_the_daemon()
    {
        _daemon.Updates.Add(Samples.Migration());
        var run = await CliRun.OfAsync(["top", "--json", "--control", _daemon.Socket]);
        var top = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal(
            ("alpha", "web", "m1"),
            (top.GetProperty("node").GetProperty("name").GetString(), top.GetProperty("guests")[0].GetProperty("name").GetString(),
                top.GetProperty("migrations")[0].GetProperty("id").GetString()));
    }

    [Fact]
    public void A_guest_is_as_fast_as_it_was_between_two_looks()
    {
        var before = Snapshot(Start, steps: 100);
        var now = Snapshot(Start.AddSeconds(2), steps: 1100);
        Assert.Equal(500, TopView.StepsPerSecond(now.Guests[0], now, before));
        Assert.Null(TopView.StepsPerSecond(now.Guests[0], now, before: null));
        Assert.Null(TopView.StepsPerSecond(before.Guests[0], Snapshot(Start.AddSeconds(4), steps: 100), now));
        Assert.Null(TopView.StepsPerSecond(now.Guests[0], now, before with { Guests = [] }));
    }

    [Fact]
    public void Many_ended_migrations_do_not_hide_those_under_way()
    {
        var all = Enumerable.Range(0, 50).Select(number => Numbered(number, MigrationState.Completed)).ToList();
        all.Insert(3, Numbered(1000, MigrationState.PostcopyPaused));
        using var console = new RecordedConsole(width: 250);
        console.Ansi.Write(TopView.Of(new(new Node(), [], all, Start), before: null));
        var shown = console.Lines.Select(line => line.Split(' ')[0]).Where(word => word.StartsWith("id", StringComparison.Ordinal));
        Assert.Equal(["id1000", .. Enumerable.Range(40, 10).Reverse().Select(number => $"id{number}")], shown);
    }

    [Fact]
    public async Task On_a_terminal_it_is_drawn_anew_until_it_is_interrupted()
    {
        using var console = new RecordedConsole(isTerminal: true, width: 200);
        using var interrupt = new CancellationTokenSource();
        var looks = 0;
        await TopCommand.RefreshAsync(
            console.Ansi,
            async () =>
            {
                await Task.Yield();
                if (++looks == 3)
                {
                    await interrupt.CancelAsync();
                }

                return Snapshot(Start.AddSeconds(looks), steps: (ulong)looks * 777);
            },
            TimeSpan.FromMilliseconds(1),
            interrupt.Token).WaitAsync(Deadline);

        Assert.Equal(3, looks);
        // The last view, which stays, has the speed since the one before it.
        Assert.Contains(" 777 ", console.Written, StringComparison.Ordinal);
        Assert.Contains(" 2,331 ", console.Written, StringComparison.Ordinal);
        Assert.Contains("\u001b[?25h", console.Written, StringComparison.Ordinal);
    }

    private static Migration Numbered(int number, MigrationState state)
    {
        var migration = Samples.Migration(state);
        migration.Id = $"id{number}";
        return migration;
    }

    private static NodeSnapshot Snapshot(DateTimeOffset at, ulong steps)
    {
        var guest = Samples.Guest();
        guest.Report.Steps = steps;
        return new(new Node { Name = "alpha" }, [guest], [Samples.Migration()], at);
    }
}
