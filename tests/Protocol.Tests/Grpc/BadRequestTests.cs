using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using Microsoft.Extensions.Logging;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>Whatever a peer sends, its call ends with a status that says what was wrong, and the server goes on serving.</summary>
public sealed class BadRequestTests : IClassFixture<ControlServer>, IAsyncLifetime
{
    private static readonly string Path = ControlMethods.GetGuest.Path;
    private static readonly byte[] Good = Frame(new GetGuestRequest { Name = "x" });

    private readonly ControlServer _server;
    private readonly RawGrpc _raw;

    public BadRequestTests(ControlServer server)
    {
        _server = server;
        _raw = new RawGrpc(server.TcpTarget);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>After each test: a proper call is still answered, and nothing here was a surprise to the server.</summary>
    public async Task DisposeAsync()
    {
        using GrpcChannel channel = GrpcChannel.Connect(_server.TcpTarget);
        await channel.CallAsync(ControlMethods.GetNode, new GetNodeRequest(), null, Deadlines.Token());
        Assert.DoesNotContain(_server.Log.Entries, entry => entry.Level >= LogLevel.Error);
        _raw.Dispose();
    }

    [Fact]
    public async Task Proper_request_passes()
    {
        RawAnswer answer = await _raw.PostAsync(Path, Good);
        Assert.Equal((200, GrpcStatusCode.Ok), (answer.HttpStatus, answer.Status));
        Assert.Equal(Frame(new Guest { Spec = new GuestSpec { Name = "x" } }), answer.Body);
    }

    [Theory]
    [InlineData("application/grpc")]
    [InlineData("application/grpc+proto")]
    [InlineData("Application/gRPC; charset=utf-8")]
    public async Task Content_types_of_grpc_are_served(string type) =>
        Assert.Equal(GrpcStatusCode.Ok, (await PostAsAsync(type)).Status);

    [Theory]
    [InlineData("application/grpc+json")]
    [InlineData("application/grpc-web")]
    [InlineData("application/json")]
    [InlineData("text/plain")]
    [InlineData("")]
    public async Task Other_content_types_are_refused(string type)
    {
        RawAnswer answer = await PostAsAsync(type);
        Assert.Equal((415, null), (answer.HttpStatus, answer.Status));
    }

    [Fact]
    public Task Request_without_te_trailers_is_refused() =>
        AssertAsync(GrpcStatusCode.Internal, "te: trailers", Good, request => request.Headers.TE.Clear());

    [Theory]
    [InlineData("1")]
    [InlineData("S")]
    [InlineData("123456789S")]
    [InlineData("-1S")]
    [InlineData("1d")]
    public Task Bad_timeout_is_refused(string timeout) =>
        AssertAsync(GrpcStatusCode.InvalidArgument, "grpc-timeout", Good, request => request.Headers.Add("grpc-timeout", timeout));

    [Theory]
    [InlineData("99999999H")]
    [InlineData("99999999M")]
    [InlineData("99999999S")]
    public async Task Longest_timeouts_are_served(string timeout)
    {
        RawAnswer answer = await _raw.PostAsync(Path, Good, request => request.Headers.Add("grpc-timeout", timeout));
        Assert.Equal(GrpcStatusCode.Ok, answer.Status);
        Assert.True(_server.LastContext!.Deadline > DateTimeOffset.UtcNow.AddYears(3));
    }

    [Fact]
    public Task No_message_is_refused() => AssertAsync(GrpcStatusCode.Unimplemented, "carried none", []);

    [Fact]
    public Task Two_messages_are_refused() => AssertAsync(GrpcStatusCode.Unimplemented, "more than one", [.. Good, .. Good]);

    [Fact]
    public Task Cut_off_message_is_refused() => AssertAsync(GrpcStatusCode.InvalidArgument, "2 of the 3 bytes", Good[..^1]);

    [Fact]
    public Task Cut_off_prefix_is_refused() => AssertAsync(GrpcStatusCode.InvalidArgument, "after 4 of the 5 bytes", Good[..4]);

    [Fact]
    public Task Bytes_after_the_message_are_refused() => AssertAsync(GrpcStatusCode.InvalidArgument, "after 1 of the 5", [.. Good, 0]);

    [Fact]
    public Task Compressed_message_is_refused() =>
        AssertAsync(GrpcStatusCode.Unimplemented, "compressed", [1, .. Good[1..]], request => request.Headers.Add("grpc-encoding", "gzip"));

    [Fact]
    public Task Unknown_flag_is_refused() => AssertAsync(GrpcStatusCode.InvalidArgument, "flag 2", [2, .. Good[1..]]);

    [Fact]
    public Task Message_over_the_limit_is_refused() =>
        AssertAsync(GrpcStatusCode.ResourceExhausted, "4294967295 bytes", [0, 0xff, 0xff, 0xff, 0xff]);

    [Fact]
    public Task Bytes_that_are_no_protobuf_are_refused() =>
        AssertAsync(GrpcStatusCode.InvalidArgument, $"{Path}: 1 bytes of request are not a GetGuestRequest", [0, 0, 0, 0, 1, 0xff]);

    [Fact]
    public async Task Request_that_does_not_end_is_given_up_at_its_deadline()
    {
        using var never = new NeverEndingContent(Good);
        RawAnswer answer = await _raw.PostAsync(Path, never, request => request.Headers.Add("grpc-timeout", "200m"));
        Assert.Equal((200, GrpcStatusCode.DeadlineExceeded), (answer.HttpStatus, answer.Status));
    }

    [Fact]
    public async Task Endless_request_is_stopped_at_the_limit()
    {
        using var flood = new FloodContent();
        RawAnswer answer = await _raw.PostAsync(Path, flood);
        Assert.Equal((200, GrpcStatusCode.ResourceExhausted), (answer.HttpStatus, answer.Status));
        await flood.Stopped.WaitAsync(Deadlines.Token());

        // What was taken is what HTTP/2's windows let through, far below what the message announced.
        Assert.InRange(flood.Sent, 0, 4 * GrpcProtocol.DefaultMaxMessageBytes);
    }

    [Fact]
    public async Task Unknown_path_is_unimplemented_for_grpc_and_not_found_for_anything_else()
    {
        RawAnswer grpc = await _raw.PostAsync("/migrationd.v1.Control/Nonsense", Good);
        Assert.Equal((200, GrpcStatusCode.Unimplemented), (grpc.HttpStatus, grpc.Status));
        Assert.Contains("/migrationd.v1.Control/Nonsense", grpc.Detail, StringComparison.Ordinal);

        RawAnswer other = await _raw.PostAsync("/", Good, request => request.Content!.Headers.Remove("content-type"));
        Assert.Equal((404, null), (other.HttpStatus, other.Status));
    }

    [Fact]
    public async Task Other_verbs_are_not_served()
    {
        RawAnswer answer = await _raw.PostAsync(Path, Good, request => request.Method = HttpMethod.Put);
        Assert.Null(answer.Status);
        Assert.InRange(answer.HttpStatus, 400, 499);
    }

    [Fact]
    public async Task Http_1_is_refused()
    {
        string answer = await SendAsync("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"u8.ToArray(), end: false);
        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Headers_over_the_limit_are_refused()
    {
        // Kestrel ends the connection or answers 431; either way the call does not reach a handler.
        try
        {
            RawAnswer answer = await _raw.PostAsync(Path, Good, request => request.Headers.Add("x", new string('x', 20_000)));
            Assert.Equal((431, null), (answer.HttpStatus, answer.Status));
        }
        catch (HttpRequestException refused)
        {
            Assert.NotEqual(HttpRequestError.ConnectionError, refused.HttpRequestError);
        }
    }

    [Fact]
    public void Any_bytes_as_a_body_end_in_a_status()
    {
        // Bytes at random hardly ever get past the prefix, so most cases are right up to some point.
        Gen<byte[]> noise = Gen.Choose(0, 255).Select(one => (byte)one).ListOf().Select(bytes => bytes.ToArray());
        Gen<byte[]> framed = noise.Select(payload => (byte[])[0, .. Length(payload.Length), .. payload]);
        Gen<byte[]> wrongLength = noise.SelectMany(payload =>
            Gen.Choose(0, 300).Select(length => (byte[])[0, .. Length(length), .. payload]));
        Gen<byte[]> flipped = Gen.Choose(0, (Good.Length * 8) - 1).Select(bit =>
        {
            byte[] bytes = [.. Good];
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            return bytes;
        });
        Gen<string> path = Gen.Elements(ControlMethods.GetGuest.Path, ControlMethods.GetNode.Path, "/migrationd.v1.Control/Nonsense");

        Check.One(
            Config.QuickThrowOnFailure.WithMaxTest(400),
            Prop.ForAll(Gen.OneOf(noise, framed, wrongLength, flipped).ToArbitrary(), path.ToArbitrary(), (body, where) =>
            {
                RawAnswer answer = _raw.PostAsync(where, body).GetAwaiter().GetResult();
                Assert.Equal(200, answer.HttpStatus);
                Assert.True(
                    answer.Status is GrpcStatusCode.Ok or GrpcStatusCode.InvalidArgument or GrpcStatusCode.Unimplemented
                        or GrpcStatusCode.ResourceExhausted,
                    $"{answer.Status}: {answer.Detail}");
                Assert.Equal(answer.Status == GrpcStatusCode.Ok, answer.Detail.Length == 0);
            }));
    }

    [Fact]
    public void Any_bytes_on_a_connection_end_that_connection_only()
    {
        byte[] preface = [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, 4, 0, 0, 0, 0, 0];
        Gen<byte[]> noise = Gen.Choose(0, 255).Select(one => (byte)one).ListOf().Select(bytes => bytes.ToArray());
        Gen<byte[]> afterPreface = noise.Select(bytes => (byte[])[.. preface, .. bytes]);

        // A frame of any type, flags and stream, with a true length.
        Gen<byte[]> frame = Gen.Choose(0, 12).SelectMany(type => Gen.Choose(0, 255).SelectMany(flags => Gen.Choose(0, 3).SelectMany(
            stream => noise.Select(payload => (byte[])
                [.. preface, .. Length(payload.Length)[1..], (byte)type, (byte)flags, 0, 0, 0, (byte)stream, .. payload]))));

        Check.One(
            Config.QuickThrowOnFailure.WithMaxTest(150),
            Prop.ForAll(Gen.OneOf(noise, afterPreface, frame).ToArbitrary(), bytes =>
            {
                SendAsync(bytes, end: true).GetAwaiter().GetResult();
            }));
    }

    private Task<RawAnswer> PostAsAsync(string contentType) => _raw.PostAsync(Path, Good, request =>
    {
        request.Content!.Headers.Remove("content-type");
        request.Content.Headers.TryAddWithoutValidation("content-type", contentType);
    });

    private async Task AssertAsync(GrpcStatusCode status, string detail, byte[] body, Action<HttpRequestMessage>? change = null)
    {
        RawAnswer answer = await _raw.PostAsync(Path, body, change);
        Assert.Equal((200, status), (answer.HttpStatus, answer.Status));
        Assert.Contains(detail, answer.Detail, StringComparison.Ordinal);
        Assert.Contains(Path, answer.Detail, StringComparison.Ordinal);
        Assert.Empty(answer.Body);
    }

    // Writes the bytes, ends the sending side if asked to, and returns what the server says until it ends its own.
    private async Task<string> SendAsync(byte[] bytes, bool end)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPEndPoint.Parse(_server.TcpTarget), Deadlines.Token());
        var answer = new StringBuilder();
        try
        {
            await socket.SendAsync(bytes, Deadlines.Token());
            if (end)
            {
                socket.Shutdown(SocketShutdown.Send);
            }

            byte[] buffer = new byte[4096];
            int length;
            while ((length = await socket.ReceiveAsync(buffer, Deadlines.Token())) > 0)
            {
                answer.Append(Encoding.Latin1.GetString(buffer, 0, length));
            }
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // The server closed before it had read all of it: as good an end as any.
        }

        return answer.ToString();
    }

    private static byte[] Frame(IMessage message)
    {
        var bytes = new ArrayBufferWriter<byte>();
        MessageFrame.Write(bytes, message);
        return bytes.WrittenSpan.ToArray();
    }

    private static byte[] Length(int length)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, length);
        return bytes;
    }

    /// <summary>A message, and then nothing: the stream stays open until the call ends.</summary>
    private sealed class NeverEndingContent(byte[] message) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.WriteAsync(message, cancellationToken);
            await stream.FlushAsync(cancellationToken);
            await Task.Delay(Deadlines.Hung, cancellationToken);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    /// <summary>Announces a message of 1 GiB and sends bytes for as long as somebody takes them.</summary>
    private sealed class FloodContent : HttpContent
    {
        private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Stopped => _stopped.Task;

        public long Sent { get; private set; }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            try
            {
                await stream.WriteAsync((byte[])[0, .. Length(1 << 30)], cancellationToken);
                byte[] chunk = new byte[64 * 1024];
                while (Sent < 1L << 30)
                {
                    await stream.WriteAsync(chunk, cancellationToken);
                    Sent += chunk.Length;
                }
            }
            finally
            {
                _stopped.TrySetResult();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
