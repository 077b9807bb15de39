using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;
using Polly;

namespace MigrationD.Protocol.Tests.Calls;

public sealed class DialingTests
{
    [Fact]
    public async Task Refused_connection_names_target_and_error()
    {
        // Bound but not listening: the port is nobody else's, and the kernel refuses.
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        string target = socket.LocalEndPoint!.ToString()!;
        Refusal error = await DialAsync(target);
        Assert.Equal(Because.Unreachable, error.Why);
        Assert.Contains($"Cannot connect to {target}: ConnectionRefused (errno 111)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_unix_socket_names_target_and_error()
    {
        Refusal error = await DialAsync("unix:/nonexistent/control.sock");
        Assert.Equal(Because.Unreachable, error.Why);
        Assert.Contains("Cannot connect to unix:/nonexistent/control.sock: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("ENOENT (errno 2)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_host_names_target_and_error()
    {
        Refusal error = await DialAsync("no-such-host.invalid:7000");
        Assert.Equal(Because.Unreachable, error.Why);
        Assert.Contains("Cannot connect to no-such-host.invalid:7000: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dial_that_takes_too_long_is_given_up()
    {
        // With a backlog of 0 and one connection in it that nobody accepts, Linux drops every further SYN: the dial gets no answer.
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start(0);
        using var first = new TcpClient();
        await first.ConnectAsync((IPEndPoint)listener.LocalEndpoint, Deadlines.Token());

        string target = listener.LocalEndpoint.ToString()!;
        Refusal error = await DialAsync(target, new CallChannelOptions { ConnectTimeout = TimeSpan.FromMilliseconds(100) });
        Assert.Equal(Because.Unreachable, error.Why);
        Assert.Contains($"Cannot connect to {target}: no answer within 0.1 s", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Peer_that_speaks_no_http2_is_an_error_and_not_a_hang()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serve = Task.Run(async () =>
        {
            using TcpClient client = await listener.AcceptTcpClientAsync(Deadlines.Token());
            await client.GetStream().WriteAsync("220 mail.example ESMTP\r\n"u8.ToArray(), Deadlines.Token());
            try
            {
                await client.GetStream().CopyToAsync(Stream.Null, Deadlines.Token());
            }
            catch (IOException)
            {
                // The client has closed with the greeting unread, which resets the connection.
            }
        });
        Refusal error = await DialAsync(listener.LocalEndpoint.ToString()!);
        Assert.True(error.Why is Because.Unreachable or Because.Failed, $"{error.Why}: {error.Message}");
        await serve;
    }

    [Fact]
    public async Task Pipeline_waits_for_a_server_that_comes_up_later()
    {
        await using var late = new LateServer();
        var log = new CapturedLog();
        ResiliencePipeline pipeline = Dialing.Pipeline(Deadlines.Hung, log);
        using CallChannel channel = CallChannel.Connect(late.Server.UnixTarget);
        int attempts = 0;
        Node node = await pipeline.ExecuteAsync(
            async cancellation =>
            {
                if (++attempts == 3)
                {
                    await late.StartAsync();
                }

                return await channel.Control().GetNodeAsync(new GetNodeRequest(), cancellationToken: cancellation);
            },
            Deadlines.Token());

        Assert.Equal("node", node.Name);
        Assert.Equal(3, attempts);
        Assert.Equal(2, log.Entries.Count);
        Assert.All(log.Entries, entry =>
        {
            Assert.Equal(LogLevel.Warning, entry.Level);
            Assert.Contains(late.Server.UnixTarget, entry.Text, StringComparison.Ordinal);
        });
    }

    [Theory]
    [InlineData(Because.NotFound)]
    [InlineData(Because.TimedOut)]
    [InlineData(Because.Failed)]
    public Task Pipeline_does_not_repeat_other_failures(Because code) =>
        AssertAttemptsAsync(Deadlines.Hung, code, attempts => attempts == 1);

    [Fact]
    public Task Pipeline_without_time_tries_once() =>
        AssertAttemptsAsync(TimeSpan.Zero, Because.Unreachable, attempts => attempts == 1);

    [Fact]
    public Task Pipeline_ends_with_the_last_failure() =>
        AssertAttemptsAsync(TimeSpan.FromMilliseconds(400), Because.Unreachable, attempts => attempts > 1);

    [Fact]
    public async Task Pipeline_is_cancelled_while_it_waits()
    {
        using var cancel = new CancellationTokenSource();
        ResiliencePipeline pipeline = Dialing.Pipeline(Deadlines.Hung, new CapturedLog());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await pipeline.ExecuteAsync(
            async _ =>
            {
                await cancel.CancelAsync();
                throw new Refusal(Because.Unreachable, "away");
            },
            cancel.Token));
    }

    [Fact]
    public async Task Channel_connects_again_after_its_server_was_replaced()
    {
        await using var first = new LateServer();
        await first.StartAsync();
        using CallChannel channel = CallChannel.Connect(first.Server.UnixTarget);
        await channel.Control().GetNodeAsync(new GetNodeRequest());
        await first.Server.StopAsync();
        Assert.Equal(Because.Unreachable, (await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Control().GetNodeAsync(new GetNodeRequest()))).Why);

        await using var second = new LateServer(first.Server.SocketPath);
        await second.StartAsync();
        await channel.Control().GetNodeAsync(new GetNodeRequest());
    }

    [Fact]
    public async Task Server_that_stops_ends_its_streams_with_unavailable()
    {
        await using var server = new LateServer();
        await server.StartAsync();
        using CallChannel channel = CallChannel.Connect(server.Server.TcpTarget);
        IAsyncEnumerator<Migration> stream = channel.Control().WatchMigration(new WatchMigrationRequest { Id = "1 then hang stop" }, cancellationToken: Deadlines.Token()).ReadToEndAsync(Deadlines.Token()).GetAsyncEnumerator();
        Assert.True(await stream.MoveNextAsync());
        await server.Server.StartedAsync("hang stop");

        Task stop = server.Server.StopAsync();
        Refusal error = await Assert.ThrowsAsync<Refusal>(async () => await stream.MoveNextAsync());
        Assert.Equal(Because.Unreachable, error.Why);
        Assert.Contains("shutting down", error.Message, StringComparison.Ordinal);
        await stop;
    }

    [Fact]
    public async Task Server_that_stops_ends_a_stream_that_it_writes_with_unavailable()
    {
        await using var server = new LateServer();
        await server.StartAsync();
        using CallChannel channel = CallChannel.Connect(server.Server.TcpTarget);
        await using IAsyncEnumerator<Migration> stream = channel.Control().WatchMigration(
            new WatchMigrationRequest { Id = $"{ulong.MaxValue} then ok" }).ReadToEndAsync(Deadlines.Token()).GetAsyncEnumerator();
        Assert.True(await stream.MoveNextAsync());

        Task stop = server.Server.StopAsync();
        Refusal error = await Assert.ThrowsAsync<Refusal>(async () =>
        {
            while (await stream.MoveNextAsync())
            {
            }
        });
        Assert.True(error.Why == Because.Unreachable, error.ToString());
        Assert.Contains("shutting down", error.Message, StringComparison.Ordinal);
        await stop;
    }

    [Fact]
    public async Task Peer_that_falls_silent_ends_its_calls_with_unavailable()
    {
        await using var server = new LateServer();
        await server.StartAsync();
        await using var relay = new Relay(server.Server.TcpTarget);
        using CallChannel channel = CallChannel.Connect(relay.Target, new CallChannelOptions { KeepAlive = TimeSpan.FromSeconds(1) });
        Task<Guest> call = channel.Control().GetGuestAsync(new GetGuestRequest { Name = "hang silence" }).ResponseAsync;
        await server.Server.StartedAsync("hang silence");

        relay.FallSilent();
        Refusal error = await Assert.ThrowsAsync<Refusal>(() => call);
        Assert.True(error.Why == Because.Unreachable, error.ToString());
    }

    private static async Task<Refusal> DialAsync(string target, CallChannelOptions? options = null)
    {
        using CallChannel channel = CallChannel.Connect(target, options);
        return await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Control().GetNodeAsync(new GetNodeRequest()));
    }

    private static async Task AssertAttemptsAsync(TimeSpan maximum, Because code, Func<int, bool> expected)
    {
        int attempts = 0;
        ResiliencePipeline pipeline = Dialing.Pipeline(maximum, new CapturedLog());
        Refusal error = await Assert.ThrowsAsync<Refusal>(async () => await pipeline.ExecuteAsync(
            _ => throw new Refusal(code, $"attempt {++attempts}"), Deadlines.Token()));
        Assert.True(expected(attempts), $"{attempts} attempts");
        Assert.Equal((code, $"attempt {attempts}"), (error.Why, error.Message));
    }

    /// <summary>A control server that a test starts when it wants.</summary>
    private sealed class LateServer(string? socketPath = null) : IAsyncDisposable
    {
        public ControlServer Server { get; } = new(socketPath);

        public async Task StartAsync() => await Server.InitializeAsync();

        public async ValueTask DisposeAsync() => await ((IAsyncDisposable)Server).DisposeAsync();
    }
}
