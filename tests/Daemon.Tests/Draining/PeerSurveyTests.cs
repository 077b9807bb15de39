using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using GuestKind = MigrationD.Guest.GuestKind;

namespace MigrationD.Daemon.Tests.Draining;

public sealed class PeerSurveyTests : IAsyncDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan SilenceKept = TimeSpan.FromSeconds(15);

    private readonly ManualClock _clock = new();
    private readonly List<CapacityPeer> _peers = [];
    private PeerSurvey? _survey;

    public async ValueTask DisposeAsync()
    {
        _survey?.Dispose();
        foreach (CapacityPeer peer in _peers)
        {
            await peer.DisposeAsync();
        }
    }

    [Fact]
    public async Task Each_peer_is_asked_once_and_answers_in_the_order_of_the_list()
    {
        CapacityPeer one = await PeerAsync();
        CapacityPeer two = await PeerAsync(instance: "bb");
        IReadOnlyList<PeerAnswer> answers = await AskAsync(two.Address, one.Address, two.Address);
        Assert.Equal(
            [new PeerAnswer(two.Address, two.Capacity, null), new PeerAnswer(one.Address, one.Capacity, null)], answers);
        Assert.Equal((1, 1), (one.Asked, two.Asked));
        await _survey!.AskAsync(CancellationToken.None);
        Assert.Equal((2, 2), (one.Asked, two.Asked));
    }

    [Fact]
    public async Task Node_knows_itself_and_peers_that_are_one_daemon()
    {
        CapacityPeer self = await PeerAsync(instance: "own");
        CapacityPeer one = await PeerAsync();
        CapacityPeer same = await PeerAsync();
        IReadOnlyList<PeerAnswer> answers = await AskAsync(self.Address, one.Address, same.Address);
        Assert.Equal([true, false, false], answers.Select(answer => answer.IsSelf));
        Assert.Equal(
            ["it is this node itself", null, $"it is the same daemon as {one.Address}"], answers.Select(answer => answer.Problem));
    }

    [Fact]
    public async Task Peers_that_do_not_say_who_they_are_are_not_taken_for_each_other()
    {
        CapacityPeer one = await PeerAsync(instance: "");
        CapacityPeer other = await PeerAsync(instance: "");
        Assert.All(await AskAsync(one.Address, other.Address), answer => Assert.Null(answer.Problem));
    }

    [Fact]
    public async Task Peer_says_itself_why_it_takes_no_guests()
    {
        CapacityPeer peer = await PeerAsync();
        peer.Capacity.Refusal = "it is stopping";
        peer.Capacity.ProtocolVersions.Clear();
        PeerAnswer answer = Assert.Single(await AskAsync(peer.Address));
        Assert.Equal(("it is stopping", false), (answer.Problem, answer.IsSelf));
    }

    [Fact]
    public async Task Peer_of_another_protocol_cannot_have_guests()
    {
        CapacityPeer peer = await PeerAsync();
        peer.Capacity.ProtocolVersions.Remove(2);
        peer.Capacity.ProtocolVersions.Add(3);
        PeerAnswer answer = Assert.Single(await AskAsync(peer.Address));
        Assert.Equal(
            "it speaks protocol version 1 and 3, and this takes version 2; upgrade the older of the two daemons", answer.Problem);
    }

    [Fact]
    public async Task Peer_that_knows_no_such_question_is_to_be_upgraded()
    {
        await using CapacityPeer peer = await CapacityPeer.StartAsync(speaksTransport: false);
        PeerAnswer answer = Assert.Single(await AskAsync(peer.Address));
        Assert.Equal(
            "it is of a version that does not say what it has room for; upgrade it, or move guests there with 'migrationd migrate'",
            answer.Problem);
        Assert.Null(answer.Capacity);
    }

    [Fact]
    public async Task Peer_that_is_not_there_is_left_in_peace_for_a_while()
    {
        CapacityPeer peer = await PeerAsync();
        peer.Refusal = new Refusal(Because.Failed, "no");
        PeerAnswer first = Assert.Single(await AskAsync(peer.Address));
        Assert.StartsWith("it does not say what it has room for: ", first.Problem, StringComparison.Ordinal);
        Assert.EndsWith("no", first.Problem, StringComparison.Ordinal);
        peer.Refusal = null;
        _clock.Advance(SilenceKept - TimeSpan.FromTicks(1));
        Assert.Same(first, Assert.Single(await _survey!.AskAsync(CancellationToken.None)));
        Assert.Equal(1, peer.Asked);
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.Null(Assert.Single(await _survey.AskAsync(CancellationToken.None)).Problem);
        Assert.Null(Assert.Single(await _survey.AskAsync(CancellationToken.None)).Problem);
        Assert.Equal(3, peer.Asked);
    }

    [Fact]
    public async Task Peers_that_are_silent_do_not_hide_those_that_answer()
    {
        CapacityPeer peer = await PeerAsync();
        string nowhere = CapacityPeer.Nowhere();
        IReadOnlyList<PeerAnswer> answers = await AskAsync(nowhere, peer.Address);
        Assert.Equal((nowhere, null), (answers[0].Address, answers[0].Capacity));
        Assert.StartsWith("it does not say what it has room for: ", answers[0].Problem, StringComparison.Ordinal);
        Assert.Null(answers[1].Problem);
    }

    [Fact]
    public async Task Peer_that_does_not_answer_in_time_is_silent()
    {
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        _survey = Survey(TimeSpan.FromSeconds(2), peer.Address);
        PeerAnswer answer = Assert.Single(await _survey.AskAsync(CancellationToken.None).WaitAsync(Soon));
        Assert.StartsWith("it does not say what it has room for: ", answer.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Question_ends_when_nobody_waits_for_the_answer()
    {
        CapacityPeer peer = await PeerAsync();
        peer.Answering = new TaskCompletionSource().Task;
        using var cancel = new CancellationTokenSource();
        _survey = Survey(Soon, peer.Address);
        Task<IReadOnlyList<PeerAnswer>> asked = _survey.AskAsync(cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asked.WaitAsync(Soon));
    }

    [Fact]
    public async Task Survey_that_is_over_asks_nobody()
    {
        CapacityPeer peer = await PeerAsync();
        await AskAsync(peer.Address);
        _survey!.Dispose();
        await Assert.ThrowsAnyAsync<Exception>(() => _survey.AskAsync(CancellationToken.None));
        Assert.Equal(1, peer.Asked);
    }

    [Fact]
    public void Offer_is_what_is_free()
    {
        var capacity = new Capacity
        {
            GuestMemoryBytes = 100, GuestMemoryUsedBytes = 30, MaxIncoming = 5, Incoming = 2,
            Kinds = { Protocol.V1.GuestKind.Workload, Protocol.V1.GuestKind.Kvm },
        };
        PeerOffer offer = PeerSurvey.Offer(new PeerAnswer("p:1", capacity, null));
        Assert.Equal(("p:1", null, 70L, 3), (offer.Address, offer.Problem, offer.FreeBytes, offer.FreePlaces));
        Assert.Equal([GuestKind.Workload, GuestKind.Kvm], offer.Kinds);
        PeerOffer less = offer.Less(50, 2);
        Assert.Equal((20L, 1), (less.FreeBytes, less.FreePlaces));
    }

    [Fact]
    public void Figures_that_make_no_sense_are_taken_as_far_as_they_can_be_counted()
    {
        var huge = new Capacity { GuestMemoryBytes = ulong.MaxValue, MaxIncoming = uint.MaxValue };
        PeerOffer offer = PeerSurvey.Offer(new PeerAnswer("p:1", huge, null));
        Assert.Equal((long.MaxValue / 2, 1_000_000), (offer.FreeBytes, offer.FreePlaces));
        var full = new Capacity { GuestMemoryUsedBytes = ulong.MaxValue, Incoming = uint.MaxValue };
        offer = PeerSurvey.Offer(new PeerAnswer("p:1", full, null));
        Assert.Equal((-(long.MaxValue / 2), -1_000_000), (offer.FreeBytes, offer.FreePlaces));
    }

    [Theory]
    [InlineData("it is stopping", "it is stopping")]
    [InlineData(null, "it did not answer")]
    public void Peer_without_an_answer_offers_nothing(string? problem, string expected)
    {
        PeerOffer offer = PeerSurvey.Offer(new PeerAnswer("p:1", problem is null ? null : new Capacity { GuestMemoryBytes = 1 }, problem));
        Assert.Equal(("p:1", expected, 0L, 0, 0), (offer.Address, offer.Problem, offer.FreeBytes, offer.FreePlaces, offer.Kinds.Count));
    }

    private async Task<CapacityPeer> PeerAsync(string instance = "aa")
    {
        CapacityPeer peer = await CapacityPeer.StartAsync();
        peer.Capacity.Instance = instance;
        _peers.Add(peer);
        return peer;
    }

    private Task<IReadOnlyList<PeerAnswer>> AskAsync(params string[] addresses)
    {
        _survey = Survey(Soon, addresses);
        return _survey.AskAsync(CancellationToken.None).WaitAsync(Soon);
    }

    private PeerSurvey Survey(TimeSpan deadline, params string[] addresses) =>
        new(addresses, "own", 2, deadline, PeerSecurity.None, _clock);
}
