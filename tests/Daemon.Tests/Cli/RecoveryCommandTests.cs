using System.Text.Json;
using Google.Protobuf;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>What the commands for broken migrations ask for, wait for, print and leave behind.</summary>
public sealed class RecoveryCommandTests : IAsyncLifetime
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("migrationd-test-");
    private ScriptedDaemon _daemon = null!;

    private string Image => Path.Combine(_folder.FullName, "web.ram");

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _daemon.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_refusal_does_not_say_twice_what_was_tried()
    {
        var run = await Run("migration", "cancel", "m1");
        Assert.Equal((ExitCode.Refused, ""), (run.ExitCode, run.Out));
        Assert.Equal("migrationd: cannot cancel migration m1: it is postcopy-active; too late\n", run.Error);
    }

    [Theory]
    [InlineData("pause guest 'web': it was deleted", "cannot pause guest web: it was deleted")]
    [InlineData("pause guest 'webber': it was deleted", "cannot pause guest web: pause guest 'webber': it was deleted")]
    [InlineData("the lane is lost: reset", "cannot pause guest web: the lane is lost: reset")]
    public void Only_what_was_tried_is_left_out(string said, string shown) =>
        Assert.Equal(
            shown,
            ControlFailure.Explain(
                "pause guest web", "/s", true, new Refusal(Because.NotNow, said)).Message);

    [Fact]
    public async Task A_paused_migration_says_so_once_and_again_when_the_reason_is_another()
    {
        Say((MigrationState.PostcopyActive, ""), (MigrationState.PostcopyPaused, "cable"), (MigrationState.PostcopyPaused, "cable"),
            (MigrationState.PostcopyPaused, "gone"), (MigrationState.PostcopyActive, ""), (MigrationState.Completed, ""));
        var run = await Run("migration", "watch", "m1");
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Equal(
            ["postcopy-active", "postcopy-paused", "postcopy-paused:cable", "postcopy-paused:gone", "postcopy-active", "completed"],
            run.Out.Split('\n').TakeWhile(line => line.Length > 0 && !line.StartsWith("migration ", StringComparison.Ordinal))
                .Select(line => line.Contains(": ", StringComparison.Ordinal) ? line.Replace(": ", ":", StringComparison.Ordinal) : line.Split(' ')[0]));
        Assert.Contains("recoveries", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Recover_waits_until_pages_travel_again()
    {
        Say((MigrationState.PostcopyPaused, "dialled"), (MigrationState.PostcopyPaused, "dialled"), (MigrationState.PostcopyActive, ""));
        _daemon.WatchForever = true;
        var run = await Run("migration", "recover", "m1", "--to", "10.0.1.6:7461");
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Contains("goes on", run.Out, StringComparison.Ordinal);
        Assert.Equal(new RecoverMigrationRequest { Id = "m1", To = "10.0.1.6:7461" }, _daemon.RecoverAsked);
    }

    [Fact]
    public async Task Recover_that_did_not_help_ends_with_1_and_the_new_reason()
    {
        Say((MigrationState.PostcopyPaused, "dialled"), (MigrationState.PostcopyPaused, "not reached"));
        _daemon.WatchForever = true;
        var run = await Run("migration", "recover", "m1", "--json");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Equal("postcopy-paused", JsonDocument.Parse(run.Out).RootElement.GetProperty("state").GetString());
        var error = JsonDocument.Parse(run.Error).RootElement.GetProperty("error");
        Assert.Equal("migration-postcopy-paused", error.GetProperty("code").GetString());
        Assert.Contains("not reached", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Resolution.ResumeHere, "--resume-here", false)]
    [InlineData(Resolution.ResumeHere, "--resume-here --force", true)]
    [InlineData(Resolution.GiveUp, "--give-up", false)]
    public async Task Resolve_says_how_and_ends_well_when_the_migration_has_failed(Resolution resolution, string options, bool force)
    {
        Say((MigrationState.PostcopyPaused, "gone"), (MigrationState.Failed, "an operator"));
        var run = await Run(["migration", "resolve", "m1", .. options.Split(' ')]);
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Equal(new ResolveMigrationRequest { Id = "m1", Resolution = resolution, Force = force }, _daemon.ResolveAsked);
        Assert.Equal(resolution == Resolution.ResumeHere, run.Error.Contains("is lost", StringComparison.Ordinal));
        Assert.Contains(resolution == Resolution.ResumeHere ? "back on this host" : "17 of 1,024 pages", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Resolve_that_came_too_late_ends_with_1()
    {
        Say((MigrationState.PostcopyPaused, "gone"), (MigrationState.Completed, ""));
        Assert.Equal(ExitCode.Failed, (await Run("migration", "resolve", "m1", "--resume-here")).ExitCode);
    }

    [Fact]
    public async Task A_dump_has_each_run_in_its_place_and_lists_what_is_missing()
    {
        _daemon.Chunks.AddRange([Chunk([(1, 7)], [(2, 510)]), Chunk([], [(512, 3), (600, 1)]), Summary(1024, 514)]);
        var run = await Run("guest", "dump", "web", Image);

        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Contains("514 are missing", run.Out, StringComparison.Ordinal);
        Assert.Contains(Image + ".missing", run.Error, StringComparison.Ordinal);
        Assert.Equal("2 513\n600 1\n", await File.ReadAllTextAsync(Image + ".missing"));
        var expected = new byte[1024 * 4096];
        expected.AsSpan(4096, 4096).Fill(7);
        Assert.Equal(expected, await File.ReadAllBytesAsync(Image));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Image));
    }

    [Fact]
    public async Task A_dump_that_breaks_off_leaves_nothing_and_takes_nothing_away()
    {
        await File.WriteAllTextAsync(Image, "older");
        _daemon.Chunks.Add(Chunk([(0, 1)], []));
        _daemon.DumpFailure = new Refusal(Because.Gone, "dump guest 'web': it goes on");
        var failed = await Run("guest", "dump", "web", Image, "--force");
        Assert.Equal(ExitCode.Failed, failed.ExitCode);
        Assert.Contains("it goes on", failed.Error, StringComparison.Ordinal);

        _daemon.DumpFailure = null;
        Assert.Equal(ExitCode.Failed, (await Run("guest", "dump", "web", Image, "--force")).ExitCode);
        Assert.Equal("older", await File.ReadAllTextAsync(Image));
        Assert.Equal([Image], Directory.EnumerateFiles(_folder.FullName));
    }

    [Fact]
    public async Task A_file_that_is_there_is_replaced_with_force_only_and_with_its_list()
    {
        await File.WriteAllTextAsync(Image, "older");
        await File.WriteAllTextAsync(Image + ".missing", "1 1\n");
        _daemon.Chunks.AddRange([Chunk([(3, 9)], []), Summary(512, 0)]);
        var refused = await Run("guest", "dump", "web", Image);
        Assert.Equal(ExitCode.Refused, refused.ExitCode);
        Assert.Equal("older", await File.ReadAllTextAsync(Image));

        var run = await Run("guest", "dump", "web", Image, "--force", "--json");
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Equal(
            "name file memoryBytes pagesPresent pagesMissing",
            string.Join(' ', JsonDocument.Parse(run.Out).RootElement.EnumerateObject().Select(property => property.Name)));
        Assert.Equal(512 * 4096, new FileInfo(Image).Length);
        Assert.Equal([Image], Directory.EnumerateFiles(_folder.FullName));
    }

    private static DumpChunk Chunk((ulong Page, byte Fill)[] runs, (ulong First, ulong Count)[] missing) => new()
    {
        Runs =
        {
            runs.Select(run => new DumpRun
            {
                Offset = run.Page * 4096,
                Content = ByteString.CopyFrom([.. Enumerable.Repeat(run.Fill, 4096)]),
            }),
        },
        Missing = { missing.Select(range => new PageRange { First = range.First, Count = range.Count }) },
    };

    private static DumpChunk Summary(ulong pages, ulong missing) => new()
    {
        Summary = new DumpSummary { MemoryBytes = pages * 4096, PagesPresent = pages - missing, PagesMissing = missing },
    };

    private void Say(params (MigrationState State, string Reason)[] updates) => _daemon.Updates.AddRange(updates.Select(update =>
    {
        var migration = Samples.Migration(update.State);
        migration.Reason = update.Reason;
        return migration;
    }));

    private Task<CliRun> Run(params string[] args) => CliRun.OfAsync([.. args, "--control", _daemon.Socket]);
}
