using System.Net;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using Microsoft.Extensions.Logging;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>This project's client against this project's server, over both kinds of socket.</summary>
public sealed class GrpcCallTests : IClassFixture<ControlServer>
{
    private readonly ControlServer _server;

    public GrpcCallTests(ControlServer server)
    {
        _server = server;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Unary_call_is_answered(bool unix)
    {
        using GrpcChannel channel = Connect(unix);
        Guest guest = await channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = "gäst" }, null, Deadlines.Token());
        Assert.Equal("gäst", guest.Spec.Name);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stream_yields_every_message_in_order(bool unix)
    {
        using GrpcChannel channel = Connect(unix);
        var seen = new List<ulong>();
        await foreach (Migration migration in channel.StreamAsync(ControlMethods.WatchMigration, Watch("1000 then ok"), Deadlines.Token()))
        {
            seen.Add(migration.PagesReceived);
        }

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (ulong)i), seen);
    }

    [Theory]
    [InlineData(GrpcStatusCode.NotFound, "no guest 'é' – 日本 🐧 100%")]
    [InlineData(GrpcStatusCode.FailedPrecondition, " blank at both ends ")]
    [InlineData(GrpcStatusCode.Unauthenticated, "line\r\nbreak")]
    public async Task Status_of_a_handler_reaches_the_client(GrpcStatusCode code, string detail)
    {
        using GrpcChannel channel = Connect();
        GrpcException unary = await Assert.ThrowsAsync<GrpcException>(() => GetGuestAsync(channel, $"fail {code} {detail}"));
        Assert.Equal((code, detail), (unary.Code, unary.Message));

        int messages = 0;
        GrpcException streaming = await Assert.ThrowsAsync<GrpcException>(async () =>
        {
            await foreach (Migration _ in channel.StreamAsync(
                ControlMethods.WatchMigration, Watch($"3 then fail {code} {detail}"), Deadlines.Token()))
            {
                messages++;
            }
        });
        Assert.Equal((3, code, detail), (messages, streaming.Code, streaming.Message));
    }

    [Fact]
    public async Task Status_message_is_cut_to_what_headers_can_carry()
    {
        using GrpcChannel channel = Connect();
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            () => GetGuestAsync(channel, "fail Internal " + new string('é', 100_000)));
        Assert.Equal(GrpcStatusCode.Internal, error.Code);
        Assert.Equal(new string('é', GrpcProtocol.MaxStatusMessageBytes / "%C3%A9".Length), error.Message);
    }

    [Fact]
    public async Task Exception_of_a_handler_stays_on_the_server()
    {
        using GrpcChannel channel = Connect();
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(() => GetGuestAsync(channel, "throw"));
        Assert.Equal(GrpcStatusCode.Internal, error.Code);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("InvalidOperation", error.Message, StringComparison.Ordinal);

        string id = error.Message[(error.Message.LastIndexOf(' ') + 1)..].TrimEnd('.');
        (LogLevel level, string text, Exception? cause) = Assert.Single(
            _server.Log.Entries, entry => entry.Level == LogLevel.Error && entry.Text.Contains(id, StringComparison.Ordinal));
        Assert.Equal(LogLevel.Error, level);
        Assert.Contains(ControlMethods.GetGuest.Path, text, StringComparison.Ordinal);
        Assert.IsType<InvalidOperationException>(cause);
    }

    [Fact]
    public async Task Context_has_peer_deadline_and_headers()
    {
        using GrpcChannel channel = Connect();
        DateTimeOffset before = DateTimeOffset.UtcNow;
        await channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = "x" }, Deadlines.Hung, Deadlines.Token());

        GrpcCallContext context = _server.LastContext!;
        Assert.Equal(IPAddress.Loopback, context.Peer!.Address);
        Assert.InRange(context.Deadline!.Value, before, DateTimeOffset.UtcNow + Deadlines.Hung);
        Assert.Equal("trailers", context.RequestHeaders.TE.ToString());

        await GetGuestAsync(channel, "y");
        Assert.Null(_server.LastContext!.Deadline);
    }

    [Fact]
    public async Task Deadline_ends_the_call_on_both_sides()
    {
        using GrpcChannel channel = Connect();
        string name = $"hang {Guid.NewGuid()}";
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(() => channel.CallAsync(
            ControlMethods.GetGuest, new GetGuestRequest { Name = name }, TimeSpan.FromSeconds(1), Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, error.Code);
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Deadline_that_has_passed_already_never_reaches_the_server()
    {
        using GrpcChannel channel = GrpcChannel.Connect("127.0.0.1:1");
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(ControlMethods.GetNode, new GetNodeRequest(), TimeSpan.Zero, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, error.Code);
    }

    [Fact]
    public async Task Cancelling_a_call_fires_the_token_of_its_handler()
    {
        using GrpcChannel channel = Connect();
        using var cancel = new CancellationTokenSource();
        string name = $"hang {Guid.NewGuid()}";
        Task<Guest> call = channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = name }, Deadlines.Hung, cancel.Token);
        await _server.StartedAsync(name);
        await cancel.CancelAsync();

        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(cancel.Token, cancelled.CancellationToken);
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Leaving_a_stream_fires_the_token_of_its_handler()
    {
        using GrpcChannel channel = Connect(unix: true);
        string name = $"hang {Guid.NewGuid()}";
        await foreach (Migration _ in channel.StreamAsync(ControlMethods.WatchMigration, Watch($"1 then {name}"), Deadlines.Token()))
        {
            break;
        }

        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Disposing_the_channel_ends_its_calls()
    {
        GrpcChannel channel = Connect();
        string name = $"hang {Guid.NewGuid()}";
        Task<Guest> call = channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = name }, Deadlines.Hung);
        await _server.StartedAsync(name);
        channel.Dispose();
        Assert.Equal(GrpcStatusCode.Cancelled, (await Assert.ThrowsAsync<GrpcException>(() => call)).Code);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => GetGuestAsync(channel, "x"));
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Method_that_is_not_mapped_is_unimplemented()
    {
        using GrpcChannel channel = Connect();
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(TransportMethods.Run, new RunRequest(), null, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.Unimplemented, error.Code);
        Assert.Contains(TransportMethods.Run.Path, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Messages_up_to_the_limit_pass_and_larger_ones_do_not()
    {
        // Name travels in GetGuestRequest as one tag byte and four of length; the answer wraps it once more.
        const int Overhead = 5;
        string fits = new('a', GrpcProtocol.DefaultMaxMessageBytes - Overhead);
        using GrpcChannel large = GrpcChannel.Connect(
            _server.TcpTarget, new GrpcChannelOptions { MaxReceiveMessageBytes = GrpcProtocol.DefaultMaxMessageBytes + 64 });
        Assert.Equal(fits, (await GetGuestAsync(large, fits)).Spec.Name);

        GrpcException request = await Assert.ThrowsAsync<GrpcException>(() => GetGuestAsync(large, fits + "a"));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, request.Code);
        Assert.Contains($"{GrpcProtocol.DefaultMaxMessageBytes + 1} bytes", request.Message, StringComparison.Ordinal);

        using GrpcChannel small = GrpcChannel.Connect(_server.TcpTarget, new GrpcChannelOptions { MaxReceiveMessageBytes = 1000 });
        GrpcException response = await Assert.ThrowsAsync<GrpcException>(() => GetGuestAsync(small, new string('a', 1000)));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, response.Code);
        Assert.Equal("still here", (await GetGuestAsync(small, "still here")).Spec.Name);
    }

    [Fact]
    public async Task Many_calls_share_a_channel()
    {
        using GrpcChannel channel = Connect();
        await Parallel.ForAsync(0, 500, Deadlines.Token(), async (i, _) =>
            Assert.Equal($"guest-{i}", (await GetGuestAsync(channel, $"guest-{i}")).Spec.Name));
    }

    [Fact]
    public async Task Kind_of_method_and_kind_of_call_must_agree()
    {
        using GrpcChannel channel = Connect();
        await Assert.ThrowsAsync<ArgumentException>(() => channel.CallAsync(ControlMethods.WatchMigration, Watch("0 then ok")));
        await Assert.ThrowsAsync<ArgumentException>(
            async () => await channel.StreamAsync(ControlMethods.GetNode, new GetNodeRequest()).GetAsyncEnumerator().MoveNextAsync());
    }

    private GrpcChannel Connect(bool unix = false) => GrpcChannel.Connect(unix ? _server.UnixTarget : _server.TcpTarget);

    private static Task<Guest> GetGuestAsync(GrpcChannel channel, string name) =>
        channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = name }, null, Deadlines.Token());

    private static WatchMigrationRequest Watch(string id) => new() { Id = id };
}
