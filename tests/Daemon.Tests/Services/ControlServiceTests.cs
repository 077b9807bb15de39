using System.Security.Cryptography;
using System.Text;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Doctor;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Services;
using MigrationD.Daemon.Tests.Draining;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Services;

public sealed class ControlServiceTests : IDisposable
{
    private const string NoGuest = "there is no guest 'one' on this node; see: migrationd guest list";
    private const string NoMigration = "there is no migration 'm' on this node; see: migrationd migration list";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly SilentNode _node = new();
    private readonly Node _described = new() { Name = "alpha", Listen = "127.0.0.1:7461" };
    private readonly GetConfigResponse _config = new() { Values = { new ConfigValue { Key = "node", Value = "alpha" } } };
    private readonly CancellationTokenSource _ended = new();
    private readonly ControlService _service;

    public ControlServiceTests() => _service = new ControlService(
        new OperatedNode(_described, new NodeHealth("alpha", _ => Task.CompletedTask), () => _config, _node.Guests, _node.Migrations),
        new NodeEngines(
            _node.Outgoing,
            new DestinationSessions(new DestinationNode(_node.Guests, _node.Migrations, _node.Timeouts), 2),
            new Drains(_node.Source, _node.Guests, _node.Outgoing, [], "own", _node.Shutdown)),
        _node.Log, _node.Shutdown);

    private DirectCall Call => new(_ended.Token);

    public void Dispose()
    {
        _ended.Cancel();
        _node.Dispose();
        _ended.Dispose();
    }

    // ---- the node

    [Fact]
    public async Task Node_is_described_as_it_is_now()
    {
        Node before = await _service.GetNode(new GetNodeRequest(), Call);
        Assert.Equal(("alpha", "127.0.0.1:7461", false), (before.Name, before.Listen, before.Drained));
        GC.KeepAlive(new byte[1 << 20]);
        GC.Collect();
        _node.Guests.Close();
        Node after = await _service.GetNode(new GetNodeRequest(), Call);
        Assert.True(after.Drained);
        Assert.True(after.ManagedBytesAllocated > before.ManagedBytesAllocated && before.ManagedBytesAllocated > 0);
        Assert.True(after.Collections > before.Collections);
        Assert.Equal((0ul, 0ul, false), (_described.ManagedBytesAllocated, _described.Collections, _described.Drained));
    }

    [Fact]
    public async Task Configuration_and_health_are_those_of_the_daemon()
    {
        Assert.Same(_config, await _service.GetConfig(new GetConfigRequest(), Call));
        Protocol.V1.Health health = await _service.GetHealth(new GetHealthRequest(), Call);
        Assert.Equal("alpha", health.Node);
        Assert.Contains(health.Checks, check => check is { Name: "lanes", Ok: true });
    }

    // ---- guests

    [Fact]
    public async Task Guest_is_created_runs_and_is_told_of()
    {
        Protocol.V1.Guest created = await CreateAsync("one");
        Assert.Equal((GuestState.Running, "one"), (created.State, created.Spec.Name));
        await CreateAsync("another");
        Assert.Equal("Guest one created: Kvm, 2097152 bytes, 1 vCPUs", _node.Log.Lines[0]);
        ListGuestsResponse list = await _service.ListGuests(new ListGuestsRequest(), Call);
        Assert.Equal(["another", "one"], list.Guests.Select(guest => guest.Spec.Name));
        Assert.Equal("one", (await _service.GetGuest(new GetGuestRequest { Name = "one" }, Call)).Spec.Name);
    }

    [Fact]
    public async Task Guest_that_cannot_be_is_not_created()
    {
        Assert.Equal(
            "the request has no guest specification",
            await RefusedAsync(Because.Invalid, () => _service.CreateGuest(new CreateGuestRequest(), Call)));
        Assert.Empty(_node.Log.Lines);
        await CreateAsync("one");
        await RefusedAsync(Because.AlreadyThere, () => CreateAsync("one"));
        Assert.Single(_node.Log.Lines);
    }

    [Fact]
    public async Task Guest_is_paused_and_resumed()
    {
        await CreateAsync("one");
        Assert.Equal(GuestState.Paused, (await PauseAsync()).State);
        Assert.Equal(GuestState.Running, (await _service.ResumeGuest(new ResumeGuestRequest { Name = "one" }, Call)).State);
        Assert.Equal(["resume", "pause", "resume"], _node.Made[0].Calls);
    }

    [Fact]
    public async Task Command_that_the_guest_refuses_is_refused()
    {
        await CreateAsync("one");
        _node.Made[0].Failure = "triple fault";
        Assert.Equal(
            "resume guest 'one': it cannot go on: triple fault. Delete it and create it again.",
            await RefusedAsync(Because.NotNow, () => _service.ResumeGuest(new ResumeGuestRequest { Name = "one" }, Call)));
        _node.Guests.Find("one").Pause();
        using (_node.Guests.Find("one").HoldWhole("hash"))
        {
            await RefusedAsync(Because.NotNow, () => PauseAsync());
            await RefusedAsync(Because.NotNow, () => DeleteAsync());
        }
    }

    [Fact]
    public async Task Guest_that_is_deleted_is_gone()
    {
        await CreateAsync("one");
        await DeleteAsync();
        Assert.Equal("Guest one deleted", _node.Log.Lines[^1]);
        Assert.Empty(_node.Guests.All());
    }

    [Fact]
    public async Task Guests_that_are_not_here_are_not_found()
    {
        foreach (Func<Task> call in (Func<Task>[])[
            () => _service.GetGuest(new GetGuestRequest { Name = "one" }, Call),
            () => PauseAsync(),
            () => _service.ResumeGuest(new ResumeGuestRequest { Name = "one" }, Call),
            () => DeleteAsync(),
            () => _service.HashGuest(new HashGuestRequest { Name = "one" }, Call),
            () => _service.DumpGuest(new DumpGuestRequest { Name = "one" }, new Heard<DumpChunk>(), Call),
            () => _service.ReadConsole(new ReadConsoleRequest { Name = "one" }, new Heard<ConsoleChunk>(), Call),
            () => MigrateAsync()])
        {
            Assert.Equal(NoGuest, await RefusedAsync(Because.NotFound, call));
        }

        Assert.Empty(_node.Log.Lines);
    }

    [Fact]
    public async Task Memory_of_a_paused_guest_is_hashed_whole()
    {
        await CreateAsync("one", blocks: 3);
        await RefusedAsync(Because.NotNow, () => HashAsync());
        await PauseAsync();
        byte[] memory = new byte[3 << 21];
        RandomNumberGenerator.Fill(memory);
        _node.Made[0].Memory.Write(0, memory);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(memory)), (await HashAsync()).Sha256);
        await _service.ResumeGuest(new ResumeGuestRequest { Name = "one" }, Call);
    }

    [Fact]
    public async Task Memory_of_a_paused_guest_is_dumped_whole()
    {
        await CreateAsync("one");
        var heard = new Heard<DumpChunk>();
        Task Dump() => _service.DumpGuest(new DumpGuestRequest { Name = "one" }, heard, Call);
        Assert.Equal(
            "dump guest 'one': it runs, so its memory changes under the reading. Pause it first: migrationd guest pause one",
            await RefusedAsync(Because.NotNow, Dump));
        await PauseAsync();
        _node.Made[0].Memory.Write(8192, [1, 2, 3]);
        await Dump().WaitAsync(Soon);
        List<DumpChunk> chunks = heard.Rest();
        Assert.Equal(2, chunks.Count);
        DumpRun run = Assert.Single(chunks[0].Runs);
        Assert.Equal((8192ul, 4096, 3), (run.Offset, run.Content.Length, run.Content[2]));
        Assert.Equal((2ul << 20, 512ul, 0ul), (
            chunks[1].Summary.MemoryBytes, chunks[1].Summary.PagesPresent, chunks[1].Summary.PagesMissing));
        await _service.ResumeGuest(new ResumeGuestRequest { Name = "one" }, Call);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Console_is_read_from_an_offset_on(bool follow)
    {
        await CreateAsync("one");
        _node.Made[0].Console!.Write("hello"u8);
        var heard = new Heard<ConsoleChunk>();
        Task read = _service.ReadConsole(new ReadConsoleRequest { Name = "one", Offset = 2, Follow = follow }, heard, Call);
        ConsoleChunk chunk = await heard.NextAsync();
        Assert.Equal((2ul, "llo"), (chunk.Offset, chunk.Data.ToString(Encoding.ASCII)));
        if (follow)
        {
            Assert.False(read.IsCompleted);
            await _ended.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WaitAsync(Soon));
            return;
        }

        await read.WaitAsync(Soon);
        Assert.False(heard.HasMore);
    }

    // ---- migrations

    [Fact]
    public async Task Migration_begins_and_is_told_of()
    {
        await CreateAsync("one");
        Migration begun = await MigrateAsync();
        Assert.Equal(
            ("one", MigrationRole.Source, "127.0.0.1:9", MigrationState.Setup, MigrationMode.Postcopy),
            (begun.Guest, begun.Role, begun.Peer, begun.State, begun.Mode));
        PrepareRequest asked = await _node.Destinations["127.0.0.1:9"].Asked.Task.WaitAsync(Soon);
        Assert.Equal((begun.Id, true, "alpha"), (asked.MigrationId, asked.RunOnArrival, asked.SourceNode));
        ListMigrationsResponse list = await _service.ListMigrations(new ListMigrationsRequest(), Call);
        Assert.Equal(begun.Id, Assert.Single(list.Migrations).Id);
        Assert.Equal(begun.Id, (await _service.GetMigration(new GetMigrationRequest { Id = begun.Id }, Call)).Id);
    }

    [Fact]
    public async Task Migration_to_what_is_no_address_does_not_begin()
    {
        await CreateAsync("one");
        Assert.Equal(
            "migrate guest 'one': 'nowhere' is no destination; give the control address of another daemon as HOST:PORT",
            await RefusedAsync(
                Because.Invalid, () => _service.Migrate(new MigrateRequest { Guest = "one", To = "nowhere" }, Call)));
        Assert.Empty(_node.Migrations.All());
    }

    [Fact]
    public async Task Migration_ends_when_the_daemon_stops()
    {
        await CreateAsync("one");
        Migration begun = await MigrateAsync();
        await _node.Destinations["127.0.0.1:9"].Asked.Task.WaitAsync(Soon);
        _node.Stop();
        Migration ended = await EndOfAsync(begun.Id);
        Assert.NotEqual(MigrationState.Completed, ended.State);
        Assert.Equal(GuestState.Running, _node.Guests.Find("one").Snapshot().State);
    }

    [Fact]
    public async Task Cancelled_migration_gives_its_guest_back()
    {
        await CreateAsync("one");
        Migration begun = await MigrateAsync();
        Assert.Equal(begun.Id, (await _service.CancelMigration(new CancelMigrationRequest { Id = begun.Id }, Call)).Id);
        Assert.Equal(MigrationState.Cancelled, (await EndOfAsync(begun.Id)).State);
        _node.Guests.Find("one").Pause();
    }

    [Fact]
    public async Task Limits_are_changed_while_it_is_under_way()
    {
        await CreateAsync("one");
        Migration begun = await MigrateAsync();
        Migration changed = await _service.SetMigration(new SetMigrationRequest { Id = begun.Id, Bandwidth = 1000 }, Call);
        Assert.Equal((begun.Id, 1000ul), (changed.Id, changed.Limits.Bandwidth));
    }

    [Fact]
    public async Task Orders_that_come_at_the_wrong_time_are_refused()
    {
        await CreateAsync("one");
        string id = (await MigrateAsync()).Id;
        await RefusedAsync(Because.NotNow, () => _service.StartPostcopy(new StartPostcopyRequest { Id = id }, Call));
        await RefusedAsync(Because.NotNow, () => _service.SetMigration(new SetMigrationRequest { Id = id, MaxRounds = 2 }, Call));
        await RefusedAsync(Because.NotNow, () => _service.RecoverMigration(new RecoverMigrationRequest { Id = id }, Call));
        await RefusedAsync(
            Because.NotNow,
            () => _service.ResolveMigration(new ResolveMigrationRequest { Id = id, Resolution = Resolution.ResumeHere }, Call));
        Assert.Equal(
            $"recover migration {id}: 'nowhere' is no destination; give the control address of another daemon as HOST:PORT",
            await RefusedAsync(
                Because.Invalid, () => _service.RecoverMigration(new RecoverMigrationRequest { Id = id, To = "nowhere" }, Call)));
        Assert.Equal(
            $"resolve migration {id}: say how, resume-here or give-up",
            await RefusedAsync(Because.Invalid, () => _service.ResolveMigration(new ResolveMigrationRequest { Id = id }, Call)));
        Assert.Equal(
            $"no guest is on its way to this node in migration '{id}'; see: migrationd migration list",
            await RefusedAsync(
                Because.NotFound,
                () => _service.ResolveMigration(new ResolveMigrationRequest { Id = id, Resolution = Resolution.GiveUp }, Call)));
    }

    [Fact]
    public async Task Orders_about_a_migration_to_this_node_belong_to_its_source()
    {
        _node.Migrations.Add(new MigrationRecord("m", "one", MigrationRole.Destination, "source", MigrationMode.Postcopy, 1));
        foreach ((string what, Func<Task> order) in Orders())
        {
            Assert.Equal(
                $"{what} migration m of guest 'one': this node is its destination; say it to the daemon of its source",
                await RefusedAsync(Because.NotNow, order));
        }
    }

    [Fact]
    public async Task Orders_about_no_migration_are_not_found()
    {
        foreach ((string _, Func<Task> order) in Orders())
        {
            Assert.Equal(NoMigration, await RefusedAsync(Because.NotFound, order));
        }

        Assert.Equal(NoMigration, await RefusedAsync(Because.NotFound, () => EndOfAsync("m")));
        Assert.Equal(
            NoMigration, await RefusedAsync(Because.NotFound, () => _service.GetMigration(new GetMigrationRequest { Id = "m" }, Call)));
    }

    [Fact]
    public async Task Who_watches_hears_each_state_until_the_last()
    {
        MigrationRecord record = Watched();
        var heard = new Heard<Migration>();
        Task watch = _service.WatchMigration(new WatchMigrationRequest { Id = "m" }, heard, Call);
        Assert.Equal(MigrationState.Setup, (await heard.NextAsync()).State);
        record.Enter(MigrationState.Device);
        await UntilAsync(heard, migration => migration.State == MigrationState.Device);
        // No change of state announces this.
        record.Change(migration => migration.Peer = "moved:1");
        await UntilAsync(heard, migration => migration.Peer == "moved:1");
        record.Enter(MigrationState.Completed);
        await watch.WaitAsync(Soon);
        List<Migration> rest = heard.Rest();
        Assert.Equal(MigrationState.Completed, rest[^1].State);
        Assert.Single(rest, migration => migration.State == MigrationState.Completed);
    }

    [Fact]
    public async Task Who_watches_hears_now_and_then_that_nothing_has_changed()
    {
        Watched();
        var heard = new Heard<Migration>();
        Task watch = _service.WatchMigration(new WatchMigrationRequest { Id = "m" }, heard, Call);
        Migration first = await heard.NextAsync();
        Migration second = await heard.NextAsync();
        // Time alone is no news: there were several looks in between.
        Assert.True(second.TotalUs - first.TotalUs > 500_000);
        await _ended.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch.WaitAsync(Soon));
    }

    [Fact]
    public async Task Migration_that_has_ended_is_told_of_once()
    {
        Watched().Enter(MigrationState.Failed, "no machine");
        Assert.Equal(("no machine", MigrationState.Failed), await LastAsync());

        async Task<(string, MigrationState)> LastAsync()
        {
            Migration last = await EndOfAsync("m");
            return (last.Reason, last.State);
        }
    }

    // ---- the drain

    [Fact]
    public async Task Node_is_drained_and_undrained()
    {
        var heard = new Heard<DrainUpdate>();
        await RefusedAsync(Because.NotNow, () => _service.Drain(new DrainRequest(), heard, Call));
        await _service.Drain(new DrainRequest { To = { "127.0.0.1:9" } }, heard, Call).WaitAsync(Soon);
        Assert.True(Assert.Single(heard.Rest()).Ended);
        Assert.True((await _service.GetNode(new GetNodeRequest(), Call)).Drained);
        Node open = await _service.Undrain(new UndrainRequest(), Call);
        Assert.Equal(("alpha", false), (open.Name, open.Drained));
    }

    private static async Task<string> RefusedAsync(Because why, Func<Task> call)
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => call().WaitAsync(Soon));
        Assert.Equal(why, refusal.Why);
        return refusal.Message;
    }

    private static async Task UntilAsync(Heard<Migration> heard, Func<Migration, bool> isIt)
    {
        while (!isIt(await heard.NextAsync()))
        {
        }
    }

    private MigrationRecord Watched()
    {
        var record = new MigrationRecord("m", "one", MigrationRole.Source, "there:1", MigrationMode.Postcopy, 1);
        _node.Migrations.Add(record);
        return record;
    }

    private (string What, Func<Task> Order)[] Orders() =>
    [
        ("start post-copy in", () => _service.StartPostcopy(new StartPostcopyRequest { Id = "m" }, Call)),
        ("change limits of", () => _service.SetMigration(new SetMigrationRequest { Id = "m", Bandwidth = 1 }, Call)),
        ("cancel", () => _service.CancelMigration(new CancelMigrationRequest { Id = "m" }, Call)),
        ("recover", () => _service.RecoverMigration(new RecoverMigrationRequest { Id = "m", To = "there:1" }, Call)),
        ("resume here in", () => _service.ResolveMigration(
            new ResolveMigrationRequest { Id = "m", Resolution = Resolution.ResumeHere }, Call)),
    ];

    private async Task<Migration> EndOfAsync(string id)
    {
        var heard = new Heard<Migration>();
        await _service.WatchMigration(new WatchMigrationRequest { Id = id }, heard, Call).WaitAsync(Soon);
        return heard.Rest()[^1];
    }

    private Task<Protocol.V1.Guest> CreateAsync(string name, int blocks = 1)
    {
        var spec = new GuestSpec { Name = name, Kind = GuestKind.Kvm, MemoryBytes = (ulong)blocks << 21, Vcpus = 1 };
        spec.WorkingSetBytes = 4096 * 16;
        spec.Pattern = WalkPattern.Sequential;
        return _service.CreateGuest(new CreateGuestRequest { Spec = spec }, Call).WaitAsync(Soon);
    }

    private Task<Protocol.V1.Guest> PauseAsync() => _service.PauseGuest(new PauseGuestRequest { Name = "one" }, Call).WaitAsync(Soon);

    private Task<DeleteGuestResponse> DeleteAsync() => _service.DeleteGuest(new DeleteGuestRequest { Name = "one" }, Call).WaitAsync(Soon);

    private Task<HashGuestResponse> HashAsync() => _service.HashGuest(new HashGuestRequest { Name = "one" }, Call).WaitAsync(Soon);

    private Task<Migration> MigrateAsync() => _service.Migrate(
        new MigrateRequest { Guest = "one", To = "127.0.0.1:9", Mode = MigrationMode.Postcopy }, Call).WaitAsync(Soon);
}
