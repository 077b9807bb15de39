using System.Net;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;
using MigrationD.Daemon.Destination;
using MigrationD.Daemon.Draining;
using MigrationD.Daemon.Options;
using MigrationD.Daemon.Security;
using MigrationD.Daemon.Services;
using MigrationD.Daemon.Tests.Destination;
using MigrationD.Daemon.Tests.Hosting;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Services;

public sealed class TransportServiceTests : IAsyncDisposable
{
    private const string Lanes = "127.0.0.1:7462";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly ReceivingNode _node = new();
    private readonly NodeCapacity _capacity;
    private readonly TransportService _service;

    public TransportServiceTests()
    {
        _capacity = new NodeCapacity("beta", _node.Guests, _node.Sessions);
        _service = new TransportService(_node.Sessions, Lanes, PeerSecurity.None, _capacity);
    }

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    // ---- Prepare

    [Fact]
    public async Task Guest_that_cannot_come_is_refused()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.PushLanes = 17;
        Assert.Equal(Because.Invalid, (await Assert.ThrowsAsync<Refusal>(() => _service.Prepare(request, new DirectCall()))).Why);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Source_that_may_wait_is_told_that_the_node_is_busy_and_any_other_is_refused(bool mayWait)
    {
        const string Busy = "guest 'one' cannot come now: 0 guests are on their way to this node, which is its limit";
        _node.Sessions.Limit = 0;
        PrepareRequest request = ReceivingNode.Request();
        request.MayWait = mayWait;
        if (mayWait)
        {
            PrepareResponse response = await _service.Prepare(request, new DirectCall());
            Assert.StartsWith(Busy, response.Busy, StringComparison.Ordinal);
            Assert.Equal(("", 0), (response.Session, response.Secret.Length));
            return;
        }

        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => _service.Prepare(request, new DirectCall()));
        Assert.Equal(Because.Busy, refusal.Why);
        Assert.StartsWith(Busy, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Answer_to_Prepare_is_what_opens_lanes()
    {
        PrepareResponse response = await _service.Prepare(ReceivingNode.Request(), new DirectCall());
        DestinationSession session = _node.Sessions.Find(response.Session);
        Assert.True(session.IsSecret(response.Secret.Span));
        Assert.Equal(
            (Lanes, session.Compression, true, ""), (response.Lanes, response.Compression, response.HandoverLane, response.Busy));
        Assert.False(session.IsEnded);
    }

    [Fact]
    public async Task Session_whose_source_has_not_waited_is_given_up()
    {
        PrepareResponse response = await _service.Prepare(ReceivingNode.Request(), new DirectCall(new CancellationToken(canceled: true)));
        Assert.True(_node.Sessions.Find(response.Session).IsEnded);
        Assert.Equal(
            "the source gave up: it did not wait for the answer to Prepare", _node.Migrations.All()[0].Snapshot().Reason);
        Assert.Empty(_node.Guests.All());
    }

    // ---- what follows

    [Fact]
    public async Task Calls_of_sessions_that_are_not_known_are_not_found()
    {
        foreach (Func<Task> call in (Func<Task>[])[
            () => _service.Forget(new ForgetRequest { Session = "x" }, new DirectCall()),
            () => _service.LoadState(new LoadStateRequest { Session = "x" }, new DirectCall()),
            () => _service.Run(new RunRequest { Session = "x" }, new DirectCall()),
            () => _service.QueryOutcome(new QueryOutcomeRequest { Session = "x" }, new DirectCall()),
            () => _service.Complete(new CompleteRequest { Session = "x" }, new DirectCall()),
            () => _service.Recover(new RecoverRequest { Session = "x" }, new DirectCall()),
            () => _service.Abort(new AbortRequest { Session = "x" }, new DirectCall()),
            () => _service.RelayConsole(new RelayConsoleRequest { Session = "x" }, new Heard<ConsoleChunk>(), new DirectCall())])
        {
            Assert.Equal(
                (Because.NotFound, "this node knows no session 'x'; it was restarted, or the session was never prepared here"),
                await RefusedAsync(call));
        }
    }

    [Fact]
    public async Task Calls_reach_their_session()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.Mode = MigrationMode.Postcopy;
        string id = (await _service.Prepare(request, new DirectCall())).Session;
        const string Prepared = "in migration 0123456789ab of guest 'one': the session is in state Prepared here";
        Assert.Equal(
            (Because.NotNow, $"forget pages {Prepared}, without precopy"),
            await RefusedAsync(() => _service.Forget(new ForgetRequest { Session = id }, new DirectCall())));
        Assert.Equal(
            (Because.NotNow, $"run {Prepared}"), await RefusedAsync(() => _service.Run(new RunRequest { Session = id }, new DirectCall())));
        Assert.Equal(
            (Because.NotNow, $"recover {Prepared}"),
            await RefusedAsync(() => _service.Recover(new RecoverRequest { Session = id }, new DirectCall())));
        using var impatient = new CancellationTokenSource();
        Task complete = _service.Complete(new CompleteRequest { Session = id }, new DirectCall(impatient.Token));
        Assert.False(complete.IsCompleted);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => complete.WaitAsync(Soon));
        await _service.Abort(new AbortRequest { Session = id, Reason = "enough" }, new DirectCall());
        Assert.Equal("the source gave up: enough", _node.Migrations.All()[0].Snapshot().Reason);
        QueryOutcomeResponse outcome = await _service.QueryOutcome(new QueryOutcomeRequest { Session = id }, new DirectCall());
        Assert.Equal(Outcome.NeverStarted, outcome.Outcome);
    }

    [Fact]
    public async Task Answer_to_Recover_is_what_opens_lanes_anew()
    {
        PrepareRequest request = ReceivingNode.Request();
        request.Mode = MigrationMode.Postcopy;
        PrepareResponse prepared = await _service.Prepare(request, new DirectCall());
        string id = prepared.Session;
        await _service.LoadState(
            new LoadStateRequest { Session = id, DeviceState = ByteString.CopyFrom(ReceivingNode.SavedState()) }, new DirectCall());
        await _service.Run(new RunRequest { Session = id }, new DirectCall());
        RecoverResponse response = await _service.Recover(new RecoverRequest { Session = id }, new DirectCall());
        Assert.Equal((Lanes, false), (response.Lanes, response.Complete));
        DestinationSession session = _node.Sessions.Find(id);
        Assert.True(session.IsSecret(response.Secret.Span));
        Assert.False(session.IsSecret(prepared.Secret.Span));
        session.GiveUp();
        await _node.Guests.Find("one").DeleteAsync().WaitAsync(Soon);
        Assert.True(session.IsEnded);
    }

    // ---- who may

    [Fact]
    public async Task Capacity_is_what_the_node_has_room_for()
    {
        Capacity capacity = await _service.GetCapacity(new GetCapacityRequest(), new DirectCall());
        Assert.Equal(
            ("beta", _capacity.Instance, 4 * (ulong)ReceivingNode.Size, 0ul, 2u, 0u, ""),
            (capacity.Node, capacity.Instance, capacity.GuestMemoryBytes, capacity.GuestMemoryUsedBytes, capacity.MaxIncoming,
                capacity.Incoming, capacity.Refusal));
    }

    [Fact]
    public async Task Who_is_not_on_the_list_any_more_brings_nothing_and_is_told_nothing()
    {
        using X509Certificate2 shown = X509CertificateLoader.LoadCertificateFromFile(
            Path.Combine(TestCertificates.Folder(1), "client-cert.pem"));
        TransportService strict = Service("other");
        const string Refused = "none of its names (";
        foreach (Func<Task> call in (Func<Task>[])[
            () => strict.Prepare(ReceivingNode.Request(), Shown(shown)), () => strict.GetCapacity(new GetCapacityRequest(), Shown(shown))])
        {
            (Because why, string message) = await RefusedAsync(call);
            Assert.Equal(Because.Forbidden, why);
            Assert.StartsWith($"this node takes no guests from {shown.Subject}: {Refused}", message, StringComparison.Ordinal);
        }

        Assert.Equal("beta", (await Service("node1").GetCapacity(new GetCapacityRequest(), Shown(shown))).Node);
    }

    private static async Task<(Because Why, string Message)> RefusedAsync(Func<Task> call)
    {
        Refusal refusal = await Assert.ThrowsAsync<Refusal>(() => call().WaitAsync(Soon));
        return (refusal.Why, refusal.Message);
    }

    private static DirectCall Shown(X509Certificate2 certificate)
    {
        var http = new DefaultHttpContext();
        http.Connection.ClientCertificate = certificate;
        return new DirectCall(http: http);
    }

    private TransportService Service(string sender) => new(
        _node.Sessions, Lanes,
        PeerSecurity.Of(new DaemonOptions
        {
            Node = "beta",
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Lanes = new IPEndPoint(IPAddress.Loopback, 0),
            ControlPath = "/nowhere/control.sock",
            AllowSenders = [sender],
        }),
        _capacity);
}
