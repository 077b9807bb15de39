using System.Diagnostics;
using System.Net;
using Google.Protobuf;
using MigrationD.Daemon.Migrations;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Source.Link;
using MigrationD.Daemon.Source.Push;
using MigrationD.Daemon.Tests.Draining;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Daemon.Tests.Lanes;
using MigrationD.Daemon.Tests.Source.Push;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source.Link;

public sealed class DestinationClientTests : IAsyncLifetime
{
    private static readonly MigrationTimeouts Timeouts =
        new(Link: TimeSpan.FromSeconds(20), Switchover: TimeSpan.FromSeconds(1000), Recovery: TimeSpan.FromSeconds(300));

    private readonly ManualClock _clock = new();
    private readonly RecordedLog _log = new();
    private readonly OutgoingGuest _guest = new(1);
    private readonly LaneServer _lanes = new();
    private ScriptedTransport _there = null!;
    private ScriptedTransport _elsewhere = null!;
    private DestinationClient _client = null!;

    private string LanesThere => $":{_lanes.EndPoint.Port}";

    public async ValueTask InitializeAsync()
    {
        _there = await ScriptedTransport.StartAsync();
        _elsewhere = await ScriptedTransport.StartAsync();
        _client = Client(_there.Address);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _there.DisposeAsync();
        await _elsewhere.DisposeAsync();
        _lanes.Dispose();
        _guest.Dispose();
    }

    // ---- Prepare

    [Fact]
    public async Task Answer_to_Prepare_is_whose_session_everything_after_it_is_of()
    {
        PrepareResponse prepared = await PrepareAsync();
        Assert.Equal("session", prepared.Session);
        Assert.Equal("m1", Assert.Single(_there.Of<PrepareRequest>()).MigrationId);
        await _client.LoadStateAsync([1, 2], CancellationToken.None);
        await _client.ForgetAsync([(3, 2)], CancellationToken.None);
        long before = Stopwatch.GetTimestamp();
        Assert.InRange(await _client.RunAsync(CancellationToken.None), before, Stopwatch.GetTimestamp());
        await _client.CompleteAsync(CancellationToken.None);
        Assert.Equal(
            [
                new LoadStateRequest { Session = "session", DeviceState = ByteString.CopyFrom(1, 2) },
                new ForgetRequest { Session = "session", StaleRuns = { 3, 2 } },
                new RunRequest { Session = "session" },
                new CompleteRequest { Session = "session" },
            ],
            _there.All.Skip(1).Select(asked => asked.Request));
    }

    [Fact]
    public async Task Destination_that_is_busy_says_so_and_the_session_before_stays()
    {
        await PrepareAsync();
        _there.Answer = (request, _) => request is PrepareRequest ? new PrepareResponse { Busy = "later" } : null;
        Assert.Equal("later", (await _client.PrepareAsync(new PrepareRequest(), again: false, CancellationToken.None)).Busy);
        await _client.RunAsync(CancellationToken.None);
        Assert.Equal("session", _there.Of<RunRequest>()[0].Session);
    }

    [Theory]
    [InlineData(Because.AlreadyThere)]
    [InlineData(Because.Busy)]
    [InlineData(Because.NotNow)]
    [InlineData(Because.Invalid)]
    public async Task Refusal_of_the_destination_says_whose_it_is(Because why)
    {
        _there.Answer = (_, _) => throw new Refusal(why, "this node takes no guests");
        Refusal refused = await Assert.ThrowsAsync<Refusal>(PrepareAsync);
        Assert.Equal((why, $"the destination {_there.Address} refuses: this node takes no guests"), (refused.Why, refused.Message));
        Assert.Single(_there.All);
    }

    [Theory]
    [InlineData(Because.Forbidden)]
    [InlineData(Because.Failed)]
    public async Task Failure_of_the_destination_is_no_refusal_of_it(Because why)
    {
        _there.Answer = (_, _) => throw new Refusal(why, "something else");
        Refusal refused = await Assert.ThrowsAsync<Refusal>(PrepareAsync);
        Assert.Equal((why, "something else"), (refused.Why, refused.Message));
        Assert.Single(_there.All);
    }

    [Fact]
    public async Task Daemon_that_is_not_there_is_dialled_for_two_seconds()
    {
        _there.Answer = (_, _) => throw new Refusal(Because.Unreachable, "stopping");
        var began = _clock.GetUtcNow();
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => WhileTimePassesAsync(
            _client.PrepareAsync(new PrepareRequest(), again: false, CancellationToken.None)));
        Assert.Equal(Because.Unreachable, refused.Why);
        Assert.InRange(_clock.GetUtcNow() - began, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(10));
        Assert.True(_there.All.Count > 2);
    }

    [Fact]
    public async Task Daemon_that_comes_back_is_asked_again()
    {
        _there.Answer = (_, before) => before > 0 ? null : throw new Refusal(Because.Unreachable, "starting");
        await WhileTimePassesAsync(_client.PrepareAsync(new PrepareRequest(), again: false, CancellationToken.None));
        Assert.Equal(2, _there.All.Count);
    }

    [Fact]
    public async Task Daemon_that_has_prepared_before_is_dialled_anew_and_as_long_as_any_lost_link()
    {
        await PrepareAsync();
        _there.Answer = (_, _) => throw new Refusal(Because.Unreachable, "stopping");
        var began = _clock.GetUtcNow();
        await Assert.ThrowsAsync<Refusal>(() => WhileTimePassesAsync(
            _client.PrepareAsync(new PrepareRequest(), again: true, CancellationToken.None)));
        Assert.InRange(_clock.GetUtcNow() - began, Timeouts.Recovery, Timeouts.Recovery + TimeSpan.FromSeconds(10));
        Assert.NotEqual(_there.All[0].Connection, _there.All[1].Connection);
    }

    [Fact]
    public async Task Preparing_that_is_given_up_ends()
    {
        _there.Answering = new TaskCompletionSource().Task;
        using var cancel = new CancellationTokenSource();
        Task preparing = _client.PrepareAsync(new PrepareRequest(), again: false, cancel.Token);
        LanePeer.Until(() => _there.All.Count == 1, "the request");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => preparing.WaitAsync(LanePeer.Deadline));
    }

    // ---- lanes

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Lanes_are_opened_at_the_host_that_has_answered_with_one_for_the_handover_if_there_is_to_be(bool handover)
    {
        PrepareResponse prepared = await PrepareAsync(LanesThere, handover);
        await UsingAsync(await _client.OpenLanesAsync(prepared, 2, _guest.Outgoing, CancellationToken.None), lanes =>
        {
            Assert.Equal(handover, lanes.Handover is not null);
            Assert.Same(_guest.Sent, lanes.Sent);
            foreach (int lane in (int[])[0, 1])
            {
                Assert.True(LaneMetadata.TryRead(
                    _lanes.Take(PageLanePaths.Push, lane).Metadata, out string? session, out byte[]? secret));
                Assert.Equal("session", session);
                Assert.Equal(new byte[] { 7 }, secret);
            }

            // The lanes go by the client's clock.
            Assert.True(_clock.TryAdvanceToNext());
        });
    }

    [Fact]
    public async Task Lanes_of_a_host_with_a_name_are_opened_at_the_first_of_its_addresses_that_answers()
    {
        PrepareResponse prepared = await PrepareAsync($"localhost:{_lanes.EndPoint.Port}");
        await UsingAsync(await _client.OpenLanesAsync(prepared, 1, _guest.Outgoing, CancellationToken.None), _ => { });
    }

    [Theory]
    [InlineData("")]
    [InlineData("7462")]
    [InlineData(":0")]
    [InlineData("127.0.0.1:0")]
    [InlineData("no host:7462")]
    public async Task Lanes_that_are_nowhere_are_not_opened(string where)
    {
        PrepareResponse prepared = await PrepareAsync(where);
        Refusal refused = await Assert.ThrowsAsync<Refusal>(
            () => _client.OpenLanesAsync(prepared, 1, _guest.Outgoing, CancellationToken.None));
        Assert.Equal(
            (Because.Failed, $"the destination {_there.Address} says its lanes are at '{where}', which is no HOST:PORT"),
            (refused.Why, refused.Message));
    }

    [Fact]
    public async Task Lanes_are_not_opened_without_TLS_where_nothing_would_hide_the_guest()
    {
        using DestinationClient strict = Client(_there.Address, PeerSecurity.Of(new DaemonOptions
        {
            Node = "alpha",
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Lanes = new IPEndPoint(IPAddress.Loopback, 0),
            ControlPath = "/nowhere/control.sock",
        }));
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => strict.OpenLanesAsync(
            new PrepareResponse { Session = "session", Lanes = "192.0.2.1:7462" }, 1, _guest.Outgoing, CancellationToken.None));
        Assert.Equal(Because.Untrusted, refused.Why);
        Assert.StartsWith(
            $"the lanes of {_there.Address} are not opened: 192.0.2.1 is not this host", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lanes_of_a_host_that_was_never_reached_are_not_looked_for()
    {
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => _client.OpenLanesAsync(
            new PrepareResponse { Session = "session", Lanes = LanesThere }, 1, _guest.Outgoing, CancellationToken.None));
        Assert.Equal((Because.Unreachable, $"the connection to {_there.Address} is closed"), (refused.Why, refused.Message));
    }

    [Fact]
    public async Task Lanes_that_nobody_listens_for_are_dialled_for_a_while_and_said_to_be_unreachable()
    {
        string nowhere = CapacityPeer.Nowhere();
        PrepareResponse prepared = await PrepareAsync(nowhere);
        Refusal refused = await Assert.ThrowsAsync<Refusal>(() => WhileTimePassesAsync(
            _client.OpenLanesAsync(prepared, 1, _guest.Outgoing, CancellationToken.None)));
        Assert.Equal(Because.Unreachable, refused.Why);
        Assert.StartsWith($"the lanes of {_there.Address} cannot be opened: ", refused.Message, StringComparison.Ordinal);
        Assert.EndsWith("look at that daemon's --lanes", refused.Message, StringComparison.Ordinal);
        Assert.True(_log.Lines.Count > 1);
    }

    [Theory]
    [InlineData(Because.Unreachable, 2)]
    [InlineData(Because.Gone, 1)]
    public async Task Lanes_that_are_refused_are_tried_again_only_where_that_may_help(Because why, int times)
    {
        int asked = 0;
        _lanes.Refuse = call => call.Path == PageLanePaths.Urgent && ++asked == 1 ? new Refusal(why, "not now") : null;
        PrepareResponse prepared = await PrepareAsync(LanesThere);
        Task<ISourceLanes> opening = WhileTimePassesAsync(_client.OpenLanesAsync(prepared, 1, _guest.Outgoing, CancellationToken.None));
        if (times == 1)
        {
            Assert.Equal(why, (await Assert.ThrowsAsync<Refusal>(() => opening)).Why);
        }
        else
        {
            await UsingAsync(await opening, _ => { });
        }

        Assert.Equal(times, asked);
    }

    // ---- Recover

    [Fact]
    public async Task Link_is_restored_with_the_secret_that_the_destination_gives_and_what_it_holds()
    {
        await PrepareAsync();
        // More than calls take by themselves: the bitmap of a large guest.
        ByteString received = ByteString.CopyFrom(new byte[20 << 20]);
        _there.Answer = (_, _) => new RecoverResponse { Secret = ByteString.CopyFrom(9), Lanes = LanesThere, Received = received };
        RecoverResponse? answer = null;
        ISourceLanes? lanes = await _client.RecoverAsync(1, Answered, CancellationToken.None);
        await UsingAsync(lanes!, opened =>
        {
            Assert.Null(opened.Handover);
            Assert.True(LaneMetadata.TryRead(_lanes.Take(PageLanePaths.Urgent).Metadata, out string? session, out byte[]? secret));
            Assert.Equal(("session", 9), (session, secret.Single()));
        });
        Assert.Equal(received.Length, answer!.Received.Length);
        Assert.Equal("session", Assert.Single(_there.Of<RecoverRequest>()).Session);

        OutgoingMemory Answered(RecoverResponse response)
        {
            answer = response;
            return _guest.Outgoing;
        }
    }

    [Fact]
    public async Task Destination_that_holds_every_page_needs_no_lanes()
    {
        await PrepareAsync();
        _there.Answer = (_, _) => new RecoverResponse { Complete = true };
        Assert.Null(await _client.RecoverAsync(1, NotAsked, CancellationToken.None));
    }

    [Theory]
    [InlineData(Because.Unreachable)]
    [InlineData(Because.TimedOut)]
    [InlineData(Because.Failed)]
    [InlineData(Because.Busy)]
    public async Task Destination_that_does_not_say_anything_of_the_guest_is_asked_again_on_a_new_connection(Because why)
    {
        await PrepareAsync();
        _there.Answer = (_, before) => before > 1 ? new RecoverResponse { Complete = true } : throw new Refusal(why, "not now");
        await WhileTimePassesAsync(_client.RecoverAsync(1, NotAsked, CancellationToken.None));
        Assert.Equal(3, _there.All.Select(asked => asked.Connection).Distinct().Count());
        Assert.Equal(2, _log.Lines.Count(line => line.Contains("not now", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(Because.NotFound)]
    [InlineData(Because.NotNow)]
    [InlineData(Because.Gone)]
    public async Task Destination_that_does_not_have_the_guest_is_not_asked_again(Because why)
    {
        await PrepareAsync();
        _there.Answer = (_, _) => throw new Refusal(why, "no such session");
        Refusal refused = await Assert.ThrowsAsync<Refusal>(
            () => WhileTimePassesAsync(_client.RecoverAsync(1, NotAsked, CancellationToken.None)));
        Assert.Equal((why, "no such session"), (refused.Why, refused.Message));
        Assert.Single(_there.Of<RecoverRequest>());
    }

    [Fact]
    public async Task Lanes_at_a_name_that_nobody_knows_are_asked_for_again()
    {
        // Longer than any name: no server of names is asked.
        string label = new('a', 63);
        string unknown = $"{label}.{label}.{label}.{label[1..]}:7462";
        await PrepareAsync();
        _there.Answer = (_, before) => before > 0 ? new RecoverResponse { Complete = true } : new RecoverResponse { Lanes = unknown };
        Assert.Null(await WhileTimePassesAsync(_client.RecoverAsync(1, NotAsked, CancellationToken.None)));
    }

    [Fact]
    public async Task Lanes_that_cannot_be_opened_are_asked_for_again()
    {
        string nowhere = CapacityPeer.Nowhere();
        await PrepareAsync();
        _there.Answer = (_, before) => before > 0 ? new RecoverResponse { Complete = true } : new RecoverResponse { Lanes = nowhere };
        Assert.Null(await WhileTimePassesAsync(_client.RecoverAsync(1, _ => _guest.Outgoing, CancellationToken.None)));
    }

    [Fact]
    public async Task Home_is_where_the_session_has_been_known_last()
    {
        await PrepareAsync();
        Assert.Equal((_there.Address, _there.Address), (_client.Address, _client.Home));
        _client.MoveTo(_elsewhere.Address);
        Assert.Equal((_elsewhere.Address, _there.Address), (_client.Address, _client.Home));
        _elsewhere.Answer = (_, _) => throw new Refusal(Because.NotFound, "no such session");
        await Assert.ThrowsAsync<Refusal>(() => _client.RecoverAsync(1, NotAsked, CancellationToken.None));
        Assert.Equal(_there.Address, _client.Home);
        _elsewhere.Answer = (_, _) => new RecoverResponse { Complete = true };
        await _client.RecoverAsync(1, NotAsked, CancellationToken.None);
        Assert.Equal(_elsewhere.Address, _client.Home);
        Assert.Single(_there.All);
    }

    // ---- what became of Run

    [Theory]
    [InlineData(Outcome.Running)]
    [InlineData(Outcome.NeverStarted)]
    public async Task Outcome_is_asked_for_until_it_is_said(Outcome outcome)
    {
        await PrepareAsync();
        _there.Answer = (_, before) => before > 1
            ? new QueryOutcomeResponse { Outcome = outcome }
            : throw new Refusal(Because.Unreachable, "starting");
        Assert.Equal(outcome, await WhileTimePassesAsync(_client.AskOutcomeAsync(CancellationToken.None)));
        Assert.Equal(["session", "session", "session"], _there.Of<QueryOutcomeRequest>().Select(asked => asked.Session));
    }

    [Fact]
    public async Task Asking_for_the_outcome_ends_when_it_is_given_up_or_there_is_no_such_session()
    {
        await PrepareAsync();
        _there.Answer = (_, _) => throw new Refusal(Because.NotFound, "no such session");
        Assert.Equal(
            Because.NotFound, (await Assert.ThrowsAsync<Refusal>(() => _client.AskOutcomeAsync(CancellationToken.None))).Why);
        _there.Answering = new TaskCompletionSource().Task;
        using var cancel = new CancellationTokenSource();
        Task asking = _client.AskOutcomeAsync(cancel.Token);
        LanePeer.Until(() => _there.Of<QueryOutcomeRequest>().Count == 2, "the request");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking.WaitAsync(LanePeer.Deadline));
    }

    [Theory]
    [InlineData(Outcome.Running, null, nameof(DestinationWord.HasGuest))]
    [InlineData(Outcome.NeverStarted, null, nameof(DestinationWord.KnowsNothing))]
    [InlineData(null, Because.NotFound, nameof(DestinationWord.KnowsNothing))]
    [InlineData(null, Because.NotNow, nameof(DestinationWord.KnowsNothing))]
    [InlineData(null, Because.Gone, nameof(DestinationWord.KnowsNothing))]
    [InlineData(null, Because.Unreachable, nameof(DestinationWord.Silent))]
    [InlineData(null, Because.TimedOut, nameof(DestinationWord.Silent))]
    [InlineData(null, Because.Failed, nameof(DestinationWord.Silent))]
    public async Task Destination_is_asked_once_at_home_and_on_a_new_connection(Outcome? outcome, Because? why, string word)
    {
        await PrepareAsync();
        _client.MoveTo(_elsewhere.Address);
        _there.Answer = (_, _) => outcome is { } said
            ? new QueryOutcomeResponse { Outcome = said }
            : throw new Refusal(why!.Value, "no");
        Assert.Equal(word, $"{await _client.AskOnceAsync(CancellationToken.None)}");
        Assert.Empty(_elsewhere.All);
        Assert.Equal("session", Assert.Single(_there.Of<QueryOutcomeRequest>()).Session);
        Assert.NotEqual(_there.All[0].Connection, _there.All[1].Connection);
    }

    // ---- what goes on and ends

    [Fact]
    public async Task Orders_of_the_switchover_are_said_once()
    {
        await PrepareAsync();
        _there.Answer = (_, _) => throw new Refusal(Because.Unreachable, "stopping");
        foreach (Func<Task> order in (Func<Task>[])[
            () => _client.ForgetAsync([(1, 1)], CancellationToken.None), () => _client.LoadStateAsync([], CancellationToken.None),
            () => _client.RunAsync(CancellationToken.None)])
        {
            Assert.Equal(Because.Unreachable, (await Assert.ThrowsAsync<Refusal>(order)).Why);
        }

        Assert.Equal(4, _there.All.Count);
    }

    [Fact]
    public async Task Many_stale_runs_go_in_several_calls()
    {
        await PrepareAsync();
        await _client.ForgetAsync(Enumerable.Range(0, 100_000).Select(run => (run * 2L, 1L)), CancellationToken.None);
        Assert.Equal([65536, 34464], _there.Of<ForgetRequest>().Select(some => some.StaleRuns.Count / 2));
        Assert.All(_there.Of<ForgetRequest>(), some => Assert.Equal("session", some.Session));
        await _client.ForgetAsync([], CancellationToken.None);
        Assert.Equal(2, _there.Of<ForgetRequest>().Count);
    }

    [Fact]
    public async Task Completion_is_waited_for_and_asked_for_again_when_the_connection_breaks()
    {
        await PrepareAsync();
        _there.Answer = (_, before) => before > 0
            ? new CompleteResponse { Placement = new PlacementCounters { PagesPush = 5 } }
            : throw new Refusal(Because.Unreachable, "the connection was lost");
        CompleteResponse complete = await WhileTimePassesAsync(_client.CompleteAsync(CancellationToken.None));
        Assert.Equal(5ul, complete.Placement.PagesPush);
        Assert.Equal(2, _there.Of<CompleteRequest>().Count);
    }

    [Fact]
    public async Task Calls_are_waited_for_as_long_as_each_may_take()
    {
        await PrepareAsync();
        await _client.ForgetAsync([(1, 1)], CancellationToken.None);
        await _client.LoadStateAsync([], CancellationToken.None);
        await _client.RunAsync(CancellationToken.None);
        await _client.AskOutcomeAsync(CancellationToken.None);
        await _client.AskOnceAsync(CancellationToken.None);
        await _client.TryAbortAsync("");
        await _client.CompleteAsync(CancellationToken.None);
        _there.Answer = (_, _) => new RecoverResponse { Complete = true };
        await _client.RecoverAsync(1, NotAsked, CancellationToken.None);

        // How much of it is left when it comes is no matter here.
        (double More, double Most)[] seconds =
            [(20, 30), (20, 30), (100, 1000), (0, 5), (0, 5), (5, 20), (0, 2), (double.MaxValue, double.MaxValue), (5, 20)];
        Assert.Equal(seconds.Length, _there.All.Count);
        Assert.All(
            _there.All.Zip(seconds),
            one => Assert.InRange(one.First.Patience?.TotalSeconds ?? double.MaxValue, one.Second.More, one.Second.Most));
    }

    [Fact]
    public async Task Destination_is_told_that_the_session_is_given_up_if_there_is_one_and_it_can_be_told()
    {
        await _client.TryAbortAsync("nothing was begun");
        Assert.Empty(_there.All);
        await PrepareAsync();
        await _client.TryAbortAsync("an operator");
        Assert.Equal(("session", "an operator"), (_there.Of<AbortRequest>()[0].Session, _there.Of<AbortRequest>()[0].Reason));
        Assert.Empty(_log.Lines);
        _there.Answer = (_, _) => throw new Refusal(Because.NotNow, "the guest runs here");
        await _client.TryAbortAsync("too late");
        Assert.Contains(_there.Address, Assert.Single(_log.Lines), StringComparison.Ordinal);
        Assert.Contains("the guest runs here", _log.Lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Console_is_read_at_home_for_longer_than_the_migration_lasts()
    {
        await PrepareAsync();
        _client.MoveTo(_elsewhere.Address);
        _client.Dispose();
        _there.Answer = (_, _) => new ConsoleChunk { Data = ByteString.CopyFromUtf8("hello") };
        var chunks = new List<ConsoleChunk>();
        await foreach (ConsoleChunk chunk in _client.ReadConsoleAsync(42, follow: true, CancellationToken.None))
        {
            chunks.Add(chunk);
        }

        Assert.Equal("hello", Assert.Single(chunks).Data.ToStringUtf8());
        Assert.Equal(
            new RelayConsoleRequest { Session = "session", Offset = 42, Follow = true }, Assert.Single(_there.Of<RelayConsoleRequest>()));
        Assert.Empty(_elsewhere.All);
    }

    [Fact]
    public async Task Calls_under_way_end_when_the_client_is_disposed()
    {
        await PrepareAsync();
        _there.Answering = new TaskCompletionSource().Task;
        Task running = _client.RunAsync(CancellationToken.None);
        LanePeer.Until(() => _there.Of<RunRequest>().Count == 1, "the request");
        _client.Dispose();
        Assert.Equal(Because.Cancelled, (await Assert.ThrowsAsync<Refusal>(() => running.WaitAsync(LanePeer.Deadline))).Why);
    }

    private static OutgoingMemory NotAsked(RecoverResponse answer) => throw new InvalidOperationException("no lanes were to be opened");

    private static async Task UsingAsync(ISourceLanes lanes, Action<ISourceLanes> check)
    {
        using (lanes)
        {
            try
            {
                check(lanes);
            }
            finally
            {
                await lanes.CloseAsync(complete: false).WaitAsync(LanePeer.Deadline);
            }
        }
    }

    private DestinationClient Client(string address, PeerSecurity? security = null) =>
        new(address, Timeouts, security ?? PeerSecurity.None, _log, _clock);

    private Task<PrepareResponse> PrepareAsync() => PrepareAsync("");

    /// <summary>Has the destination prepare; after this it answers with nothing said.</summary>
    private async Task<PrepareResponse> PrepareAsync(string lanes, bool handover = false)
    {
        Func<IMessage, int, IMessage?> refuse = _there.Answer;
        _there.Answer = (request, before) => refuse(request, before) ?? new PrepareResponse
        {
            Session = "session",
            Secret = ByteString.CopyFrom(7),
            Lanes = lanes,
            HandoverLane = handover,
        };
        PrepareResponse prepared =
            await _client.PrepareAsync(new PrepareRequest { MigrationId = "m1" }, again: false, CancellationToken.None);
        _there.Answer = (_, _) => null;
        return prepared;
    }

    /// <summary>Waits, while the clock goes on to whatever is waited for.</summary>
    private async Task<T> WhileTimePassesAsync<T>(Task<T> task)
    {
        using var deadline = new CancellationTokenSource(LanePeer.Deadline);
        while (!task.IsCompleted)
        {
            _clock.TryAdvanceToNext();
            await Task.Delay(1, deadline.Token);
        }

        return await task;
    }
}
