using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Net;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.Protocol.Wire;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Calls;

/// <summary>This project's client against this project's server, over both kinds of socket.</summary>
public sealed class CallTests : IClassFixture<ControlServer>
{
    private readonly ControlServer _server;

    public CallTests(ControlServer server)
    {
        _server = server;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Unary_call_is_answered(bool unix)
    {
        using CallChannel channel = Connect(unix);
        Guest guest = await channel.Control().GetGuestAsync(new GetGuestRequest { Name = "gäst" });
        Assert.Equal("gäst", guest.Spec.Name);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stream_yields_every_message_in_order(bool unix)
    {
        using CallChannel channel = Connect(unix);
        var seen = new List<ulong>();
        await foreach (Migration migration in channel.Control().WatchMigration(Watch("1000 then ok")).ReadToEndAsync(Deadlines.Token()))
        {
            seen.Add(migration.PagesReceived);
        }

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (ulong)i), seen);
    }

    [Theory]
    [InlineData(Because.NotFound, "no guest 'é' – 日本 🐧 100%")]
    [InlineData(Because.NotNow, " blank at both ends ")]
    [InlineData(Because.Untrusted, "line\r\nbreak")]
    public async Task Status_of_a_handler_reaches_the_client(Because code, string detail)
    {
        using CallChannel channel = Connect();
        Refusal unary = await Assert.ThrowsAsync<Refusal>(() => GetGuestAsync(channel, $"fail {code} {detail}"));
        Assert.Equal((code, detail), (unary.Why, unary.Message));

        int messages = 0;
        Refusal streaming = await Assert.ThrowsAsync<Refusal>(async () =>
        {
            await foreach (Migration _ in channel.Control().WatchMigration(Watch($"3 then fail {code} {detail}"))
                .ReadToEndAsync(Deadlines.Token()))
            {
                messages++;
            }
        });
        Assert.Equal((3, code, detail), (messages, streaming.Why, streaming.Message));
    }

    [Fact]
    public async Task Status_message_is_cut_to_what_headers_can_carry()
    {
        using CallChannel channel = Connect();
        Refusal error = await Assert.ThrowsAsync<Refusal>(
            () => GetGuestAsync(channel, "fail Failed " + new string('é', 100_000)));
        Assert.Equal(Because.Failed, error.Why);
        Assert.Equal(new string('é', GrpcProtocol.MaxStatusMessageBytes / "%C3%A9".Length), error.Message);
    }

    [Fact]
    public async Task Exception_of_a_handler_stays_on_the_server()
    {
        using CallChannel channel = Connect();
        Refusal error = await Assert.ThrowsAsync<Refusal>(() => GetGuestAsync(channel, "throw"));
        Assert.Equal(Because.Failed, error.Why);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("InvalidOperation", error.Message, StringComparison.Ordinal);

        string id = error.Message[(error.Message.LastIndexOf(' ') + 1)..].TrimEnd('.');
        (LogLevel level, string text, Exception? cause) = Assert.Single(
            _server.Log.Entries, entry => entry.Level == LogLevel.Error && entry.Text.Contains(id, StringComparison.Ordinal));
        Assert.Equal(LogLevel.Error, level);
        Assert.Contains("/migrationd.v1.Control/GetGuest", text, StringComparison.Ordinal);
        Assert.IsType<InvalidOperationException>(cause);
    }

    [Fact]
    public async Task Deadline_ends_the_call_on_both_sides()
    {
        using CallChannel channel = Connect();
        string name = $"hang {Guid.NewGuid()}";
        Refusal error = await Assert.ThrowsAsync<Refusal>(async () => await channel.Control().GetGuestAsync(
            new GetGuestRequest { Name = name }, deadline: DateTime.UtcNow + TimeSpan.FromSeconds(1)));
        Assert.Equal(Because.TimedOut, error.Why);
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Deadline_that_has_passed_already_never_reaches_the_server()
    {
        using CallChannel channel = CallChannel.Connect("127.0.0.1:1");
        Refusal error = await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Control().GetNodeAsync(new GetNodeRequest(), deadline: DateTime.UtcNow + TimeSpan.Zero));
        Assert.Equal(Because.TimedOut, error.Why);
    }

    [Fact]
    public async Task Cancelling_a_call_fires_the_token_of_its_handler()
    {
        using CallChannel channel = Connect();
        using var cancel = new CancellationTokenSource();
        string name = $"hang {Guid.NewGuid()}";
        Task<Guest> call = channel.Control().GetGuestAsync(new GetGuestRequest { Name = name }, cancellationToken: cancel.Token).ResponseAsync;
        await _server.StartedAsync(name);
        await cancel.CancelAsync();

        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(cancel.Token, cancelled.CancellationToken);
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Leaving_a_stream_fires_the_token_of_its_handler()
    {
        using CallChannel channel = Connect(unix: true);
        string name = $"hang {Guid.NewGuid()}";
        await foreach (Migration _ in channel.Control().WatchMigration(Watch($"1 then {name}")).ReadToEndAsync(Deadlines.Token()))
        {
            break;
        }

        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Disposing_the_channel_ends_its_calls()
    {
        CallChannel channel = Connect();
        string name = $"hang {Guid.NewGuid()}";
        Task<Guest> call = channel.Control().GetGuestAsync(new GetGuestRequest { Name = name }).ResponseAsync;
        await _server.StartedAsync(name);
        channel.Dispose();
        Assert.Equal(Because.Cancelled, (await Assert.ThrowsAsync<Refusal>(() => call)).Why);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => GetGuestAsync(channel, "x"));
        await _server.EndedAsync(name);
    }

    [Fact]
    public async Task Method_that_is_not_mapped_is_unimplemented()
    {
        using CallChannel channel = Connect();
        Refusal error = await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Transport().RunAsync(new RunRequest()));
        Assert.Equal(Because.NotSupported, error.Why);
        Assert.Contains("/migrationd.v1.Transport/Run", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Messages_up_to_the_limit_pass_and_larger_ones_do_not()
    {
        // Name travels in GetGuestRequest as one tag byte and four of length; the answer wraps it once more.
        const int Overhead = 5;
        string fits = new('a', CallLimits.MaxMessageBytes - Overhead);
        using CallChannel large = CallChannel.Connect(
            _server.TcpTarget, new CallChannelOptions { MaxReceiveMessageBytes = CallLimits.MaxMessageBytes + 64 });
        Assert.Equal(fits, (await GetGuestAsync(large, fits)).Spec.Name);

        Refusal request = await Assert.ThrowsAsync<Refusal>(() => GetGuestAsync(large, fits + "a"));
        Assert.Equal(Because.Busy, request.Why);
        Assert.Contains("GetGuest on 127.0.0.1", request.Message, StringComparison.Ordinal);

        using CallChannel small = CallChannel.Connect(_server.TcpTarget, new CallChannelOptions { MaxReceiveMessageBytes = 1000 });
        Refusal response = await Assert.ThrowsAsync<Refusal>(() => GetGuestAsync(small, new string('a', 1000)));
        Assert.Equal(Because.Busy, response.Why);
        Assert.Equal("still here", (await GetGuestAsync(small, "still here")).Spec.Name);
    }

    [Fact]
    public async Task Packed_request_is_refused_and_not_unpacked()
    {
        // A message of a thousand times its size, which no limit on what is received would notice.
        using var packed = new MemoryStream();
        packed.Write([1, 0, 0, 0, 0]);
        await using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(new byte[64 << 20]);
        }

        byte[] message = packed.ToArray();
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), message.Length - 5);
        using var http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false });
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{_server.TcpTarget}/migrationd.v1.Control/GetNode")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(message),
        };
        request.Content.Headers.ContentType = new("application/grpc");
        request.Headers.Add("grpc-encoding", "gzip");
        using HttpResponseMessage response = await http.SendAsync(request, Deadlines.Token());
        await response.Content.ReadAsByteArrayAsync();
        string status = (response.Headers.TryGetValues("grpc-status", out var early) ? early : response.TrailingHeaders.GetValues("grpc-status"))
            .Single();
        Assert.Equal(((int)Because.NotSupported).ToString(CultureInfo.InvariantCulture), status);
    }

    [Fact]
    public async Task Channel_that_closes_between_two_messages_ends_the_stream()
    {
        CallChannel channel = Connect();
        await using IAsyncEnumerator<Migration> stream = channel.Control().WatchMigration(Watch($"{ulong.MaxValue} then ok"))
            .ReadToEndAsync(Deadlines.Token()).GetAsyncEnumerator();
        Assert.True(await stream.MoveNextAsync());
        channel.Dispose();
        Refusal closed = await Assert.ThrowsAsync<Refusal>(async () =>
        {
            while (await stream.MoveNextAsync())
            {
            }
        });
        Assert.Equal(Because.Cancelled, closed.Why);
    }

    [Fact]
    public async Task Many_calls_share_a_channel()
    {
        using CallChannel channel = Connect();
        await Parallel.ForAsync(0, 500, Deadlines.Token(), async (i, _) =>
            Assert.Equal($"guest-{i}", (await GetGuestAsync(channel, $"guest-{i}")).Spec.Name));
    }

    private CallChannel Connect(bool unix = false) => CallChannel.Connect(unix ? _server.UnixTarget : _server.TcpTarget);

    private static Task<Guest> GetGuestAsync(CallChannel channel, string name) =>
        channel.Control().GetGuestAsync(new GetGuestRequest { Name = name }).ResponseAsync;

    private static WatchMigrationRequest Watch(string id) => new() { Id = id };
}
