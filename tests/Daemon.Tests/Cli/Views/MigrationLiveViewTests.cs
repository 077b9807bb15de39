using MigrationD.Daemon.Cli.Views;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli.Views;

public sealed class MigrationLiveViewTests
{
    [Fact]
    public void It_shows_what_has_come_how_fast_and_what_the_guest_feels_of_it()
    {
        var migration = Samples.Migration(MigrationState.PostcopyActive);
        migration.PagesTotal = 2048;
        migration.PagesPerSecond = 512;
        migration.BytesPerSecond = 2.5e6;
        var lines = Lines(migration);

        Assert.Equal("guest web  to 127.0.0.1:7461  (m1)", lines[0]);
        Assert.Equal("phase     postcopy-active  2.5 s", lines[1]);
        Assert.Equal("RAM       ", lines[2][..10]);
        Assert.Equal(90 - 2, lines[2][10..].Length);
        Assert.Equal("█▓▒·", string.Concat(lines[2][10..].Distinct()));
        Assert.Equal("          50% of 8.0 MiB  █ urgent 24  ▓ push 900  ▒ zero 100  · missing 1,024", lines[3]);
        Assert.Equal("rate      20.0 Mbit/s  512 pages/s  4.0 MiB sent  ETA 2.0 s", lines[4]);
        Assert.Equal("downtime  8.25 ms  link restored 3 times", lines[5]);
        Assert.Equal("faults    24  p50 61 µs  p99 200 µs  max 301 µs", lines[6]);
        Assert.Equal("          [    32 us -    64 us ]:         20 " + new string('█', 40), lines[7]);
    }

    [Fact]
    public void A_migration_that_stands_still_says_why_and_promises_no_end()
    {
        var migration = Samples.Migration(MigrationState.PostcopyPaused);
        migration.Reason = "the push lane is lost: connection reset";
        migration.PagesPerSecond = 100;
        migration.PagesTotal = 4096;
        var lines = Lines(migration);
        Assert.Equal(
            ["phase     postcopy-paused  2.5 s", "reason    the push lane is lost: connection reset"],
            lines[1..3]);
        Assert.EndsWith("ETA -", lines[5], StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_that_is_not_known_is_shown_as_0()
    {
        var lines = Lines(new Migration { Id = "m2", Guest = "db", Role = MigrationRole.Destination, Peer = "alpha", PagesTotal = 512 });
        Assert.Equal("guest db  from alpha  (m2)", lines[0]);
        Assert.Contains("downtime  -", lines);
        Assert.Contains("faults    none yet", lines);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(40)]
    [InlineData(300)]
    public void It_fits_every_terminal(int width)
    {
        var migration = Samples.Migration(MigrationState.PostcopyPaused);
        migration.Reason = string.Join(' ', Enumerable.Repeat("a reason that is longer than the line of a terminal", 5));
        Assert.All(Lines(migration, width), line => Assert.True(line.Length <= width, line));
    }

    [Fact]
    public async Task On_a_terminal_it_is_drawn_over_and_over_and_gone_at_the_end()
    {
        using var console = new RecordedConsole(isTerminal: true);
        var paused = Samples.Migration(MigrationState.PostcopyPaused);
        paused.Reason = "the link is lost";
        var last = await MigrationProgress.ShowLiveAsync(
            console.Ansi, Updates(Samples.Migration(MigrationState.Setup), paused, Samples.Migration()));

        Assert.Equal(MigrationState.Completed, last.State);
        var written = console.Written;
        Assert.True(
            written.IndexOf("setup", StringComparison.Ordinal) < written.IndexOf("the link is lost", StringComparison.Ordinal), written);
        Assert.Contains("\u001b[?25l", written, StringComparison.Ordinal);
        Assert.Contains("\u001b[?25h", written, StringComparison.Ordinal);
        Assert.Contains("\u001b[1A", written, StringComparison.Ordinal);
        Assert.Contains("\u001b[2K", written, StringComparison.Ordinal);
    }

    private static async IAsyncEnumerable<Migration> Updates(params Migration[] updates)
    {
        foreach (var update in updates)
        {
            await Task.Yield();
            yield return update;
        }
    }

    private static string[] Lines(Migration migration, int width = 100)
    {
        using var console = new RecordedConsole(width: width);
        console.Ansi.Write(MigrationLiveView.Of(migration, width));
        return console.Lines;
    }
}
