using System.Buffers;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>What the client makes of answers that no proper server gives.</summary>
public sealed class BadResponseTests
{
    private static readonly byte[] Good = Frame(new Node { Name = "x" });

    [Theory]
    [InlineData(400, GrpcStatusCode.Internal)]
    [InlineData(401, GrpcStatusCode.Unauthenticated)]
    [InlineData(403, GrpcStatusCode.PermissionDenied)]
    [InlineData(404, GrpcStatusCode.Unimplemented)]
    [InlineData(429, GrpcStatusCode.Unavailable)]
    [InlineData(502, GrpcStatusCode.Unavailable)]
    [InlineData(503, GrpcStatusCode.Unavailable)]
    [InlineData(504, GrpcStatusCode.Unavailable)]
    [InlineData(418, GrpcStatusCode.Unknown)]
    [InlineData(302, GrpcStatusCode.Unknown)]
    public Task Http_status_is_mapped(int http, GrpcStatusCode expected) => AssertAsync(expected, $"HTTP {http}", context =>
    {
        context.Response.StatusCode = http;
        context.Response.Headers.Location = "/elsewhere";
        return Task.CompletedTask;
    });

    [Fact]
    public Task Grpc_status_counts_more_than_an_http_status() => AssertAsync(GrpcStatusCode.NotFound, "é", context =>
    {
        context.Response.StatusCode = 503;
        context.Response.Headers["grpc-status"] = "5";
        context.Response.Headers["grpc-message"] = "%C3%A9";
        return Task.CompletedTask;
    });

    [Theory]
    [InlineData("text/html")]
    [InlineData("application/grpc+json")]
    [InlineData(null)]
    public Task Other_content_type_is_an_error(string? type) => AssertAsync(GrpcStatusCode.Unknown, $"type '{type}'", async context =>
    {
        context.Response.ContentType = type;
        await context.Response.Body.WriteAsync(Good);
    });

    [Theory]
    [InlineData("77")]
    [InlineData("-1")]
    [InlineData("five")]
    public Task Unknown_status_is_unknown(string status) =>
        AssertAsync(GrpcStatusCode.Unknown, $"grpc-status {status}", Answer(Good, status));

    [Fact]
    public Task Answer_without_a_status_is_an_error() => AssertAsync(GrpcStatusCode.Internal, "without a grpc-status", Answer(Good, null));

    [Fact]
    public Task Status_counts_more_than_a_message() => AssertAsync(GrpcStatusCode.Aborted, "grpc-status 10", Answer(Good, "10"));

    [Fact]
    public Task Ok_without_a_message_is_an_error() => AssertAsync(GrpcStatusCode.Unimplemented, "with none of", Answer([], "0"));

    [Fact]
    public Task Ok_in_headers_without_a_message_is_an_error() => AssertAsync(GrpcStatusCode.Unimplemented, "with none of", context =>
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = "0";
        return Task.CompletedTask;
    });

    [Fact]
    public async Task Ok_in_headers_is_an_empty_stream()
    {
        await using OddServer server = await OddServer.AnswerAsync(context =>
        {
            context.Response.ContentType = "application/grpc";
            context.Response.Headers["grpc-status"] = "0";
            return Task.CompletedTask;
        });
        using GrpcChannel channel = GrpcChannel.Connect(server.Target);
        Assert.Empty(await channel
            .StreamAsync(ControlMethods.WatchMigration, new WatchMigrationRequest(), Deadlines.Token())
            .ToListAsync());
    }

    [Fact]
    public Task Two_messages_are_an_error() =>
        AssertAsync(GrpcStatusCode.Unimplemented, "more than one", Answer([.. Good, .. Good], "0"));

    [Fact]
    public Task Cut_off_message_is_an_error() => AssertAsync(GrpcStatusCode.Internal, "2 of the 3 bytes", Answer(Good[..^1], "0"));

    [Fact]
    public Task Compressed_message_is_an_error() => AssertAsync(GrpcStatusCode.Internal, "compressed", Answer([1, .. Good[1..]], "0"));

    [Fact]
    public Task Message_over_the_limit_is_an_error() =>
        AssertAsync(GrpcStatusCode.ResourceExhausted, "4294967295", Answer([0, 0xff, 0xff, 0xff, 0xff], "0"));

    [Fact]
    public Task Bytes_that_are_no_protobuf_are_an_error() =>
        AssertAsync(GrpcStatusCode.Internal, "are not a Node", Answer([0, 0, 0, 0, 1, 0xff], "0"));

    [Theory]
    [InlineData(0x1, GrpcStatusCode.Unavailable)]
    [InlineData(0x2, GrpcStatusCode.Internal)]
    [InlineData(0x7, GrpcStatusCode.Unavailable)]
    [InlineData(0x8, GrpcStatusCode.Cancelled)]
    [InlineData(0xb, GrpcStatusCode.ResourceExhausted)]
    [InlineData(0xc, GrpcStatusCode.PermissionDenied)]
    public async Task Reset_stream_is_mapped(int http2Error, GrpcStatusCode expected)
    {
        // After the headers: before them .NET would send a refused stream again by itself.
        await AssertAsync(expected, $"error 0x{http2Error:x}", async context =>
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.FlushAsync();
            context.Features.GetRequiredFeature<IHttpResetFeature>().Reset(http2Error);
        });
    }

    [Fact]
    public Task Lost_connection_is_unavailable() => AssertAsync(GrpcStatusCode.Unavailable, "connection", async context =>
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(Good);
        await context.Response.Body.FlushAsync();
        context.Features.GetRequiredFeature<Microsoft.AspNetCore.Connections.Features.IConnectionLifetimeFeature>().Abort();
    });

    private static async Task AssertAsync(GrpcStatusCode expected, string detail, RequestDelegate answer)
    {
        await using OddServer server = await OddServer.AnswerAsync(answer);
        using GrpcChannel channel = GrpcChannel.Connect(server.Target);
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(ControlMethods.GetNode, new GetNodeRequest(), null, Deadlines.Token()));
        Assert.Equal(expected, error.Code);
        Assert.Contains(detail, error.Message, StringComparison.Ordinal);
    }

    private static RequestDelegate Answer(byte[] body, string? status) => async context =>
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(body);
        if (status is not null)
        {
            context.Response.AppendTrailer("grpc-status", status);
        }
    };

    private static byte[] Frame(Node message)
    {
        var bytes = new ArrayBufferWriter<byte>();
        MessageFrame.Write(bytes, message);
        return bytes.WrittenSpan.ToArray();
    }
}
