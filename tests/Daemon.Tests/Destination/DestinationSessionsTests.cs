using MigrationD.Daemon.Destination;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Destination;

public sealed class DestinationSessionsTests : IAsyncDisposable
{
    private readonly ReceivingNode _node = new();

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    // ---- what cannot come, whatever this host has

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Source_of_another_protocol_is_refused(uint version)
    {
        PrepareRequest request = ReceivingNode.Request();
        request.ProtocolVersion = version;
        await AssertRefusedAsync(
            request, Because.NotNow,
            $"the source speaks protocol version {version} and this node 2 and 1; upgrade the older of the two daemons");
    }

    [Fact]
    public async Task Device_state_of_another_version_is_refused()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.DeviceStateVersion++;
        await AssertRefusedAsync(
            request, Because.NotNow,
            "the source saves device state in version 2 and this node loads version 1; upgrade the older of the two daemons");
    }

    [Fact]
    public async Task Guest_that_cannot_be_is_refused()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.Guest.Vcpus = 0;
        await AssertRefusedAsync(request, Because.Invalid, "guest 'one': A guest has 1 to");
        request.Guest = null;
        await AssertRefusedAsync(request, Because.Invalid, "the request has no guest specification");
    }

    [Fact]
    public async Task Memory_that_is_not_one_block_of_the_guests_size_is_refused()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.RamBlocks[0].Bytes += 4096;
        await AssertRefusedAsync(
            request, Because.Invalid,
            "guest 'one' has 2097152 bytes of RAM, and the source describes 1 RAM blocks of together 2101248 bytes; "
            + "this version moves guests with one RAM block");
        request.RamBlocks[0].Bytes = ulong.MaxValue;
        request.RamBlocks.Add(new RamBlock { Bytes = 1 });
        await AssertRefusedAsync(
            request, Because.Invalid,
            "guest 'one' has 2097152 bytes of RAM, and the source describes 2 RAM blocks of together 18446744073709551616 bytes");
        request.RamBlocks[0].Bytes = (ulong)ReceivingNode.Size;
        await AssertRefusedAsync(request, Because.Invalid, "guest 'one' has 2097152 bytes of RAM");
        request.RamBlocks.Clear();
        await AssertRefusedAsync(request, Because.Invalid, "guest 'one' has 2097152 bytes of RAM");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    public async Task Migration_needs_an_id_of_sensible_length(int length)
    {
        await AssertRefusedAsync(
            ReceivingNode.Request(migration: new string('a', length)), Because.Invalid, "migration_id has to have 1 to 64 characters");
    }

    [Fact]
    public async Task Too_many_push_lanes_are_refused()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.PushLanes = 17;
        await AssertRefusedAsync(request, Because.Invalid, "push_lanes is 17, and at most 16 are possible");
    }

    [Fact]
    public async Task Node_that_stops_takes_no_guests()
    {
        Assert.False(_node.Sessions.IsStopping);
        await _node.Sessions.FinishAsync(CancellationToken.None);
        Assert.True(_node.Sessions.IsStopping);
        await AssertRefusedAsync(
            ReceivingNode.Request(), Because.NotNow, "this node is stopping and takes no guests; choose another destination");
    }

    [Fact]
    public async Task Limit_is_what_may_come_at_a_time()
    {
        Assert.Equal((2, 0), (_node.Sessions.Limit, _node.Sessions.Coming));
        _node.Sessions.Limit = 0;
        NodeBusyException busy = await Assert.ThrowsAsync<NodeBusyException>(() => _node.Sessions.PrepareAsync(ReceivingNode.Request()));
        Assert.Equal(
            "guest 'one' cannot come now: 0 guests are on their way to this node, which is its limit; try again when one has arrived, or "
            + "raise --max-incoming there",
            busy.Message);
        AssertNothingIsHere();
    }

    [Fact]
    public void Sessions_that_are_not_known_are_not_found()
    {
        const string None = "this node knows no session 'x'; it was restarted, or the session was never prepared here";
        Refusal refusal = Assert.Throws<Refusal>(() => _node.Sessions.Find("x"));
        Assert.Equal((Because.NotFound, None), (refusal.Why, refusal.Message));
        Assert.Equal(None, Assert.Throws<Refusal>(() => _node.Sessions.FindGuest("x")).Message);
        Assert.Null(_node.Sessions.FindMigration("x"));
    }

    // ---- those that come

    [Fact]
    public async Task Guest_is_prepared_for_and_found_by_its_session_and_its_migration()
    {
        PrepareRequest request = ReceivingNode.Request();
        DestinationSession session = await _node.Sessions.PrepareAsync(request);
        Assert.Equal(("0123456789ab", "one", true), (session.MigrationId, session.GuestName, session.HasHandoverLane));
        Assert.Same(session, _node.Sessions.Find(session.Id));
        Assert.Same(session, _node.Sessions.FindMigration("0123456789ab"));
        Assert.Null(_node.Sessions.FindMigration("other"));
        Assert.Equal((1, ReceivingNode.Size), (_node.Sessions.Coming, _node.Guests.Budget.Used));
        Assert.Same(_node.Guests.Find("one"), _node.Sessions.FindGuest(session.Id));
        Assert.Equal(1, Assert.Single(_node.Memories).VcpuCount);
        Migration record = Assert.Single(_node.Migrations.All()).Snapshot();
        Assert.Equal(
            ("0123456789ab", "one", MigrationRole.Destination, "alpha", MigrationMode.Hybrid, 512ul),
            (record.Id, record.Guest, record.Role, record.Peer, record.Mode, record.PagesTotal));
    }

    [Fact]
    public async Task Session_that_was_given_up_is_still_known_and_its_guest_is_not()
    {
        DestinationSession session = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        await session.AbortAsync("test");
        Assert.Equal((0, 0L), (_node.Sessions.Coming, _node.Guests.Budget.Used));
        Assert.Same(session, _node.Sessions.Find(session.Id));
        Assert.Null(_node.Sessions.FindMigration("0123456789ab"));
        Assert.Equal(Because.NotFound, Assert.Throws<Refusal>(() => _node.Sessions.FindGuest(session.Id)).Why);
        await _node.Sessions.PrepareAsync(ReceivingNode.Request(migration: "other"));
        Refusal gone = Assert.Throws<Refusal>(() => _node.Sessions.FindGuest(session.Id));
        Assert.Equal(
            (Because.NotFound, "the guest that came in migration 0123456789ab is not on this node any more"), (gone.Why, gone.Message));
    }

    [Fact]
    public async Task So_many_sessions_that_ended_are_known_and_no_more()
    {
        await using var node = new ReceivingNode(endedKept: 3);
        DestinationSession coming = await node.Sessions.PrepareAsync(ReceivingNode.Request("coming", "coming"));
        var ended = new List<DestinationSession>();
        for (int i = 0; i < 4; i++)
        {
            ended.Add(await node.Sessions.PrepareAsync(ReceivingNode.Request(migration: $"{i}")));
            await ended[i].AbortAsync("test");
        }

        DestinationSession last = await node.Sessions.PrepareAsync(ReceivingNode.Request(migration: "last"));
        Assert.Equal((true, true, 3), (IsKnown(coming), IsKnown(last), ended.Count(IsKnown)));

        bool IsKnown(DestinationSession session)
        {
            try
            {
                return node.Sessions.Find(session.Id) == session;
            }
            catch (Refusal)
            {
                return false;
            }
        }
    }

    [Fact]
    public async Task Prepare_of_the_same_migration_takes_the_place_of_the_one_before()
    {
        _node.Sessions.Limit = 1;
        DestinationSession first = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        DestinationSession second = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        Assert.Equal((true, false, 1), (first.IsEnded, second.IsEnded, _node.Sessions.Coming));
        Assert.Same(second, _node.Sessions.FindMigration("0123456789ab"));
    }

    [Fact]
    public async Task One_more_comes_when_another_is_not_coming_any_more()
    {
        _node.Sessions.Limit = 1;
        DestinationSession first = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        PrepareRequest next = ReceivingNode.Request("two", "other");
        await Assert.ThrowsAsync<NodeBusyException>(() => _node.Sessions.PrepareAsync(next));
        await first.AbortAsync("test");
        await _node.Sessions.PrepareAsync(next);
    }

    [Fact]
    public async Task Guest_whose_name_is_taken_does_not_come()
    {
        DestinationSession first = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        Refusal refusal =
            await Assert.ThrowsAsync<Refusal>(() => _node.Sessions.PrepareAsync(ReceivingNode.Request(migration: "other")));
        Assert.Equal(Because.AlreadyThere, refusal.Why);
        Assert.False(first.IsEnded);
        Assert.Single(_node.Migrations.All());
    }

    [Fact]
    public async Task Machine_that_cannot_be_made_leaves_nothing()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.Guest.Vcpus = 2;
        await AssertRefusedAsync(request, Because.NotNow, "guest 'one' cannot run on this node: the machine profile of guest one has");
        Assert.Contains("dispose", _node.Memories[^1].Calls);
    }

    [Fact]
    public async Task Node_that_stops_gives_up_who_has_not_run_here()
    {
        DestinationSession session = await _node.Sessions.PrepareAsync(ReceivingNode.Request());
        await _node.Sessions.FinishAsync(CancellationToken.None);
        Assert.True(session.IsEnded);
        Assert.Equal("this daemon is stopping", _node.Migrations.All()[0].Snapshot().Reason);
        Assert.Empty(_node.Guests.All());
    }

    private async Task AssertRefusedAsync(PrepareRequest request, Because why, string beginning)
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => _node.Sessions.PrepareAsync(request));
        Assert.Equal(why, refusal.Why);
        Assert.StartsWith(beginning, refusal.Message, StringComparison.Ordinal);
        AssertNothingIsHere();
    }

    private void AssertNothingIsHere() => Assert.Equal(
        (0, 0L, 0, 0),
        (_node.Guests.All().Count, _node.Guests.Budget.Used, _node.Migrations.All().Count, _node.Sessions.Coming));
}
