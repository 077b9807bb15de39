using System.Text.Json;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>The client commands against a real server on a unix socket.</summary>
public sealed class CommandTests : IAsyncLifetime
{
    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    private Task<CliRun> Run(params string[] args) => CliRun.OfAsync([.. args, "--control", _daemon.Socket]);

    [Fact]
    public async Task The_list_of_guests_is_an_array_with_the_documented_keys()
    {
        var run = await Run("guest", "list", "--json");

        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        var guest = Assert.Single(JsonDocument.Parse(run.Out).RootElement.EnumerateArray());
        Assert.Equal(("web", "kvm", "running", 4_194_304, 2), (guest.GetProperty("name").GetString(), guest.GetProperty("kind").GetString(),
            guest.GetProperty("state").GetString(), guest.GetProperty("memoryBytes").GetInt64(), guest.GetProperty("vcpus").GetInt32()));
    }

    [Fact]
    public async Task No_guests_are_an_empty_array()
    {
        _daemon.Guests.Clear();
        Assert.Equal("[]\n", (await Run("guest", "list", "--json")).Out);
        Assert.Contains("guest create", (await Run("guest", "list")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_list_for_people_has_one_unbroken_line_a_guest()
    {
        var long63 = new string('w', 63);
        _daemon.Guests[0].Spec.Name = long63;
        var run = await Run("guest", "list");
        var lines = run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.Equal([long63, "kvm", "running", "4MiB", "2", "100", "0"], lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task Create_asks_for_the_documented_defaults()
    {
        var run = await Run("guest", "create", "db");

        Assert.Equal((ExitCode.Ok, "guest db created, running\n", ""), (run.ExitCode, run.Out, run.Error));
        Assert.Equal(
            new GuestSpec
            {
                Name = "db",
                Kind = GuestKind.Kvm,
                MemoryBytes = 256 << 20,
                Vcpus = 2,
                Pulse = new Pulse { WorkingSetBytes = 192 << 20, Pattern = WalkPattern.Uniform, Content = GuestContent.Random },
                WorkingSetBytes = 192 << 20,
                Pattern = WalkPattern.Uniform,
                Content = GuestContent.Random,
            },
            _daemon.Created);
    }

    [Fact]
    public async Task Create_passes_every_option_on()
    {
        await Run("guest", "create", "db", "--kind", "workload", "--memory", "1GiB", "--vcpus", "4", "--working-set", "8192", "--pattern",
            "zipf", "--content", "counting");
        Assert.Equal(
            new GuestSpec
            {
                Name = "db",
                Kind = GuestKind.Workload,
                MemoryBytes = 1 << 30,
                Vcpus = 4,
                Pulse = new Pulse { WorkingSetBytes = 8192, Pattern = WalkPattern.Zipf, Content = GuestContent.Counting },
                WorkingSetBytes = 8192,
                Pattern = WalkPattern.Zipf,
                Content = GuestContent.Counting,
            },
            _daemon.Created);
    }

    [Fact]
    public async Task The_default_working_set_is_whole_pages_of_three_quarters_of_any_memory()
    {
        await Run("guest", "create", "db", "--memory", "2MiB");
        Assert.Equal(384u * 4096, _daemon.Created!.WorkingSetBytes);
        await Run("guest", "create", "db", "--memory", "4097");
        Assert.Equal(0u, _daemon.Created!.WorkingSetBytes % 4096);
    }

    [Fact]
    public async Task What_does_not_exist_ends_with_4_and_names_it()
    {
        var run = await Run("guest", "show", "nobody");
        Assert.Equal((ExitCode.NotFound, ""), (run.ExitCode, run.Out));
        Assert.Contains("show guest nobody: there is no guest nobody", run.Error, StringComparison.Ordinal);
        Assert.Contains("guest list", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_is_one_line_and_ends_with_1_when_a_check_failed()
    {
        Assert.Equal(new CliRun(ExitCode.Ok, "node alpha is well: taken; opens\n", ""), await Run("health"));
        _daemon.Health.Checks[1] = new HealthCheck { Name = "kvm", Found = "open /dev/kvm: EACCES", Remedy = "usermod -aG kvm" };
        Assert.Equal(
            new CliRun(
                ExitCode.Failed, "", "migrationd: node alpha cannot do its work: open /dev/kvm: EACCES; to mend: usermod -aG kvm\n"),
            await Run("health"));
        var json = await Run("health", "--json");
        Assert.Equal((ExitCode.Failed, ""), (json.ExitCode, json.Error));
        Assert.Equal("failed", JsonDocument.Parse(json.Out).RootElement.GetProperty("verdict").GetString());
    }

    [Fact]
    public async Task An_error_with_json_is_one_object_on_standard_error()
    {
        var run = await Run("guest", "pause", "nobody", "--json");
        Assert.Equal((ExitCode.NotFound, ""), (run.ExitCode, run.Out));
        var error = JsonDocument.Parse(run.Error).RootElement.GetProperty("error");
        Assert.Equal(("not-found", 4), (error.GetProperty("code").GetString(), error.GetProperty("exitCode").GetInt32()));
        Assert.Contains("nobody", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_taken_name_and_a_wrong_state_end_with_5()
    {
        Assert.Equal(ExitCode.Refused, (await Run("guest", "create", "taken")).ExitCode);
        var run = await Run("guest", "hash", "web");
        Assert.Equal(ExitCode.Refused, run.ExitCode);
        Assert.Contains("pause it first", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_daemon_that_lacks_a_call_is_said_to_be_another_version()
    {
        var run = await Run("guest", "resume", "web");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("another version", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Delete_deletes()
    {
        Assert.Equal("""{"name":"web","deleted":true}""" + "\n", (await Run("guest", "delete", "web", "--json")).Out);
        Assert.Empty(_daemon.Guests);
    }

    [Fact]
    public async Task Migrate_waits_for_the_end_and_prints_one_object_an_update()
    {
        _daemon.Updates.AddRange(
            [Samples.Migration(MigrationState.Setup), Samples.Migration(MigrationState.PostcopyActive), Samples.Migration()]);
        var run = await Run("migrate", "web", "--to", "10.0.0.6:7461", "--placement", "copy", "--json");

        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Equal(
            ["setup", "postcopy-active", "completed"],
            run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
                JsonDocument.Parse(line).RootElement.GetProperty("state").GetString()));
        Assert.Equal(
            new MigrateRequest
            {
                Guest = "web", To = "10.0.0.6:7461", Placement = Placement.Copy, Mode = MigrationMode.Hybrid,
                TimeoutStrategy = TimeoutStrategy.Fail,
                Compress = CompressMode.Auto,
            },
            _daemon.Asked);
    }

    [Fact]
    public async Task Migrate_says_how_far_precopy_may_go()
    {
        _daemon.Updates.Add(Samples.Migration());
        var run = await Run(
            "migrate", "web", "--to", "10.0.0.6:7461", "--mode", "precopy", "--max-rounds", "7", "--precopy-timeout", "1.5m",
            "--downtime-limit", "50ms", "--timeout-strategy", "continue");
        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Equal(
            new MigrateRequest
            {
                Guest = "web", To = "10.0.0.6:7461", Placement = Placement.Move, Mode = MigrationMode.Precopy, MaxRounds = 7,
                PrecopyTimeoutMs = 90_000, DowntimeLimitMs = 50, TimeoutStrategy = TimeoutStrategy.Continue,
                Compress = CompressMode.Auto,
            },
            _daemon.Asked);
    }

    [Theory]
    [InlineData("--mode", "both", "--mode both: must be one of postcopy, precopy, hybrid")]
    [InlineData("--max-rounds", "0", "--max-rounds 0: must be a whole number from 1 to 1000000")]
    [InlineData("--max-rounds", "many", "--max-rounds many: must be a whole number")]
    [InlineData("--lanes", "0", "--lanes 0: must be a whole number from 1 to 16")]
    [InlineData("--lanes", "17", "--lanes 17: must be a whole number from 1 to 16")]
    [InlineData("--lanes", "-1", "--lanes -1: must be a whole number from 1 to 16")]
    [InlineData("--lanes", "two", "--lanes two: must be a whole number from 1 to 16")]
    [InlineData("--precopy-timeout", "10", "--precopy-timeout 10: no time")]
    [InlineData("--downtime-limit", "0ms", "--downtime-limit 0ms: no time")]
    [InlineData("--timeout-strategy", "wait", "must be one of fail, continue")]
    public async Task Migrate_refuses_what_makes_no_sense(string option, string value, string why)
    {
        var run = await Run("migrate", "web", "--to", "10.0.0.6:7461", option, value);
        Assert.NotEqual(ExitCode.Ok, run.ExitCode);
        Assert.Contains(why, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Migrate_tells_its_progress_in_plain_lines_when_nobody_has_a_terminal()
    {
        _daemon.Updates.AddRange(
            [Samples.Migration(MigrationState.Setup), Samples.Migration(MigrationState.PostcopyActive), Samples.Migration()]);
        var run = await Run("migrate", "web", "--to", "host-b.example:7461");

        Assert.Equal((ExitCode.Ok, ""), (run.ExitCode, run.Error));
        Assert.Equal(["setup", "postcopy-active", "completed"], run.Out.Split('\n').Take(3).Select(line => line.Split(' ')[0]));
        Assert.DoesNotContain('\u001b', run.Out);
        Assert.Contains("8.25 ms", run.Out, StringComparison.Ordinal);
        Assert.Contains("p99 200 µs", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(MigrationState.Failed, "migration-failed")]
    [InlineData(MigrationState.Cancelled, "migration-cancelled")]
    public async Task A_migration_that_did_not_complete_ends_with_1_and_its_reason(MigrationState state, string code)
    {
        var last = Samples.Migration(state);
        last.Reason = "connection refused";
        _daemon.Updates.Add(last);
        foreach (var args in new string[][] { ["migrate", "web", "--to", "10.0.0.6:7461"], ["migration", "watch", "m1"] })
        {
            var run = await Run([.. args, "--json"]);
            Assert.Equal(ExitCode.Failed, run.ExitCode);
            Assert.Equal("connection refused", JsonDocument.Parse(run.Out).RootElement.GetProperty("reason").GetString());
            Assert.Equal(code, JsonDocument.Parse(run.Error).RootElement.GetProperty("error").GetProperty("code").GetString());
        }
    }

    [Fact]
    public async Task A_stream_that_ends_too_early_is_no_success()
    {
        _daemon.Updates.Add(Samples.Migration(MigrationState.PostcopyActive));
        var run = await Run("migrate", "web", "--to", "10.0.0.6:7461");
        Assert.Equal(ExitCode.Failed, run.ExitCode);
        Assert.Contains("postcopy-active", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Detached_it_returns_at_once_with_the_id_to_follow()
    {
        var run = await Run("migrate", "web", "--to", "[::1]:7461", "--detach");
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Contains("migration watch m1", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Interrupted_it_says_that_the_migration_goes_on()
    {
        _daemon.Updates.Add(Samples.Migration(MigrationState.PostcopyActive));
        _daemon.WatchForever = true;
        using var interrupt = new CancellationTokenSource();
        var run = CliRun.OfAsync(["migrate", "web", "--to", "10.0.0.6:7461", "--control", _daemon.Socket], interrupt.Token);
        await _daemon.Watched.Task.WaitAsync(TimeSpan.FromSeconds(30));
        await interrupt.CancelAsync();

        var ended = await run;
        Assert.Equal(ExitCode.Interrupted, ended.ExitCode);
        Assert.Contains("m1 goes on", ended.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Watch_with_json_prints_one_line_an_update_and_the_last_state_once()
    {
        _daemon.Updates.AddRange([Samples.Migration(MigrationState.Setup), Samples.Migration(MigrationState.Device), Samples.Migration()]);
        var run = await Run("migration", "watch", "m1", "--json");
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.Equal(
            ["setup", "device", "completed"],
            run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
                JsonDocument.Parse(line).RootElement.GetProperty("state").GetString()));
    }

    [Fact]
    public async Task Show_says_the_same_in_the_words_of_QEMU_and_libvirt()
    {
        _daemon.Updates.Add(Samples.Migration());
        var json = JsonDocument.Parse((await Run("migration", "show", "m1", "--json")).Out).RootElement;
        Assert.Equal(924, json.GetProperty("queryMigrate").GetProperty("ram").GetProperty("normal").GetInt32());
        Assert.Equal(924, json.GetProperty("domJobInfo").GetProperty("memory_normal").GetInt32());
        Assert.Contains("postcopy-requests", (await Run("migration", "show", "m1")).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Migrations_are_listed()
    {
        Assert.Equal("[]\n", (await Run("migration", "list", "--json")).Out);
        _daemon.Updates.Add(Samples.Migration());
        Assert.Contains("1,024/1,024", (await Run("migration", "list")).Out, StringComparison.Ordinal);
        Assert.Equal("m1", JsonDocument.Parse((await Run("migration", "list", "--json")).Out).RootElement[0].GetProperty("id").GetString());
    }

    [Fact]
    public async Task The_node_shows_where_it_is_reached() =>
        Assert.Equal("127.0.0.1:7461", JsonDocument.Parse((await Run("node", "--json")).Out).RootElement.GetProperty("listen").GetString());
}
