using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Draining;

public sealed class DrainsTests : IAsyncDisposable
{
    private const string Stopping = "this daemon is stopping; it waits for the migrations under way, and begins none";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly SilentNode _node = new();
    private readonly CancellationTokenSource _cancel = new();
    private readonly List<CapacityPeer> _peers = [];

    public async ValueTask DisposeAsync()
    {
        await _cancel.CancelAsync();
        _node.Dispose();
        foreach (CapacityPeer peer in _peers)
        {
            await peer.DisposeAsync();
        }

        _cancel.Dispose();
    }

    // ---- what is refused

    [Fact]
    public async Task Drain_that_says_nowhere_is_refused_and_closes_nothing()
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => EndAsync(Drains(), new DrainRequest()));
        Assert.Equal(
            (Because.NotNow, "drain: nothing says where guests go; give the daemon peers (--peers), or name destinations with --to"),
            (refusal.Why, refusal.Message));
        Assert.False(_node.Guests.IsClosed);
    }

    [Fact]
    public async Task Drain_to_what_is_no_address_is_refused_and_closes_nothing()
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => EndAsync(Drains("p:1"), new DrainRequest { To = { "p:1", "nowhere" } }));
        Assert.Equal(
            (Because.Invalid, "drain: 'nowhere' is no destination; give the control address of another daemon as HOST:PORT"),
            (refusal.Why, refusal.Message));
        Assert.False(_node.Guests.IsClosed);
    }

    [Fact]
    public async Task Drain_by_a_plan_that_cannot_be_is_refused_and_closes_nothing()
    {
        var request = new DrainRequest { Plan = new MigrateRequest { Lanes = 1000 } };
        Assert.Equal(Because.Invalid, (await Assert.ThrowsAsync<Refusal>(() => EndAsync(Drains("p:1"), request))).Why);
        Assert.False(_node.Guests.IsClosed);
    }

    [Fact]
    public async Task One_drain_at_a_time()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        Drains drains = Drains(peer.Address);
        await using IAsyncEnumerator<DrainUpdate> first = Begin(drains, new DrainRequest());
        Assert.True(await first.MoveNextAsync());
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => EndAsync(drains, new DrainRequest()));
        Assert.Equal(
            (Because.NotNow, "another drain of this node is under way; wait for its end, or end it with Ctrl-C where it runs, or with "
                + "'migrationd undrain'"),
            (refusal.Why, refusal.Message));
        await first.DisposeAsync();
        await using IAsyncEnumerator<DrainUpdate> second = Begin(drains, new DrainRequest());
        Assert.True(await second.MoveNextAsync());
    }

    [Fact]
    public async Task Drain_follows_on_one_that_ends_a_moment_later()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        Drains drains = Drains(peer.Address);
        IAsyncEnumerator<DrainUpdate> first = Begin(drains, new DrainRequest());
        Assert.True(await first.MoveNextAsync());
        await using IAsyncEnumerator<DrainUpdate> second = Begin(drains, new DrainRequest());
        Task<bool> begun = second.MoveNextAsync().AsTask();
        await first.DisposeAsync();
        Assert.True(await begun.WaitAsync(Soon));
    }

    // ---- what is done

    [Fact]
    public async Task Node_is_closed_and_stays_so()
    {
        Assert.True((await EndAsync(Drains("p:1", "p:2"), new DrainRequest())).Ended);
        Assert.True(_node.Guests.IsClosed);
        Assert.Equal(
            [
                "Node alpha takes no guests in any more, and its own are moved to p:1, p:2",
                "Node alpha: nothing more of this drain is begun",
            ],
            _node.Log.Lines);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Guests_go_to_the_peers_unless_others_are_named(bool named)
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        CapacityPeer other = await PeerAsync();
        var request = new DrainRequest();
        if (named)
        {
            request.To.Add(other.Address);
        }

        IAsyncEnumerator<DrainUpdate> updates = Begin(Drains(peer.Address), request);
        DrainGuest moving = await UntilMovingAsync(updates, 1);
        Assert.Equal(named ? other.Address : peer.Address, moving.Migration.Peer);
        Assert.Equal(named ? 0 : 1, peer.Asked);
        await updates.DisposeAsync();
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    public async Task So_many_guests_move_at_a_time_as_the_request_says(uint parallel, int moving)
    {
        Create("a", "b", "c", "d");
        CapacityPeer peer = await PeerAsync();
        IAsyncEnumerator<DrainUpdate> updates = Begin(Drains(peer.Address), new DrainRequest { Parallel = parallel });
        await UntilMovingAsync(updates, moving);
        Assert.Equal(moving, _node.Migrations.All().Count);
        await updates.DisposeAsync();
    }

    [Theory]
    [InlineData(MigrationMode.Unspecified, 2)]
    [InlineData(MigrationMode.Postcopy, 1)]
    public async Task Guests_move_as_the_plan_says(MigrationMode mode, uint version)
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        peer.Capacity.ProtocolVersions.Clear();
        peer.Capacity.ProtocolVersions.Add(version);
        IAsyncEnumerator<DrainUpdate> updates =
            Begin(Drains(peer.Address), new DrainRequest { Plan = new MigrateRequest { Mode = mode, To = "elsewhere:1" } });
        await UntilMovingAsync(updates, 1);
        PrepareRequest asked = await _node.Destinations[peer.Address].Asked.Task.WaitAsync(Soon);
        Assert.Equal((mode == MigrationMode.Unspecified ? MigrationMode.Hybrid : mode, version), (asked.Mode, asked.ProtocolVersion));
        await updates.DisposeAsync();
    }

    [Fact]
    public async Task Node_that_is_among_its_own_peers_knows_itself()
    {
        Create("a");
        CapacityPeer self = await PeerAsync("own");
        DrainUpdate last = await EndAsync(Drains(self.Address), new DrainRequest());
        Assert.Equal(
            (DrainState.Stayed, "there is no peer but this node itself"), (last.Guests[^1].State, last.Guests[^1].Reason));
    }

    // ---- how it ends

    [Fact]
    public async Task Undrain_ends_the_drain_and_lets_guests_in()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        Drains drains = Drains(peer.Address);
        IAsyncEnumerator<DrainUpdate> updates = Begin(drains, new DrainRequest());
        await UntilMovingAsync(updates, 1);
        drains.Undrain();
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => RestAsync(updates));
        Assert.Equal(
            (Because.Gone, "the node was undrained; migrations that had begun go on: migrationd migration list"),
            (refusal.Why, refusal.Message));
        Assert.False(_node.Guests.IsClosed);
        Assert.False(_node.Migrations.All()[0].IsFinal);
        Assert.Contains("Node alpha takes guests in again", _node.Log.Lines);
        Assert.Contains("Node alpha: nothing more of this drain is begun", _node.Log.Lines);
    }

    [Fact]
    public async Task Node_is_drained_anew_after_it_was_undrained()
    {
        Drains drains = Drains("p:1");
        drains.Undrain();
        Assert.True((await EndAsync(drains, new DrainRequest())).Ended);
        Assert.True(_node.Guests.IsClosed);
    }

    [Fact]
    public async Task Drain_of_a_daemon_that_stops_ends()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        IAsyncEnumerator<DrainUpdate> updates = Begin(Drains(peer.Address), new DrainRequest());
        Assert.True(await updates.MoveNextAsync());
        _node.Stop();
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => RestAsync(updates));
        Assert.Equal((Because.Gone, Stopping), (refusal.Why, refusal.Message));
    }

    [Fact]
    public async Task Drain_ends_when_migrations_are_not_begun_any_more()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        await _node.Outgoing.FinishAsync(CancellationToken.None);
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => EndAsync(Drains(peer.Address), new DrainRequest()));
        Assert.Equal((Because.Gone, Stopping), (refusal.Why, refusal.Message));
    }

    [Fact]
    public async Task Drain_whose_caller_has_gone_ends()
    {
        Create("a");
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        IAsyncEnumerator<DrainUpdate> updates = Begin(Drains(peer.Address), new DrainRequest());
        Assert.True(await updates.MoveNextAsync());
        await _cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => RestAsync(updates));
        Assert.Equal("Node alpha: nothing more of this drain is begun", _node.Log.Lines[^1]);
    }

    private static async Task<DrainGuest> UntilMovingAsync(IAsyncEnumerator<DrainUpdate> updates, int count)
    {
        var moving = new Dictionary<string, DrainGuest>(StringComparer.Ordinal);
        while (moving.Count < count)
        {
            Assert.True(await updates.MoveNextAsync().AsTask().WaitAsync(Soon));
            foreach (DrainGuest guest in updates.Current.Guests.Where(guest => guest.State == DrainState.Moving))
            {
                moving[guest.Name] = guest;
            }
        }

        return moving.Values.First();
    }

    private static async Task<DrainUpdate> RestAsync(IAsyncEnumerator<DrainUpdate> updates)
    {
        DrainUpdate last = new();
        while (await updates.MoveNextAsync().AsTask().WaitAsync(Soon))
        {
            last = updates.Current;
        }

        return last;
    }

    private Task<DrainUpdate> EndAsync(Drains drains, DrainRequest request) => RestAsync(Begin(drains, request));

    private IAsyncEnumerator<DrainUpdate> Begin(Drains drains, DrainRequest request) =>
        drains.RunAsync(request, _cancel.Token).GetAsyncEnumerator(_cancel.Token);

    private Drains Drains(params string[] peers) => new(_node.Source, _node.Guests, _node.Outgoing, peers, "own", _node.Shutdown);

    private async Task<CapacityPeer> PeerAsync(string instance = "aa")
    {
        CapacityPeer peer = await CapacityPeer.StartAsync();
        peer.Capacity.Instance = instance;
        peer.Capacity.MaxIncoming = 50;
        _peers.Add(peer);
        return peer;
    }

    private void Create(params string[] names)
    {
        foreach (string name in names)
        {
            _node.Guests.Create(JournalSamples.Spec(name));
        }
    }
}
