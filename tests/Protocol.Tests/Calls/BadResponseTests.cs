using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Calls;

/// <summary>What a caller is told of answers that no proper server gives: what came back, from where, and whether to try again.</summary>
public sealed class BadResponseTests
{
    [Theory]
    [InlineData(400, Because.Failed)]
    [InlineData(401, Because.Untrusted)]
    [InlineData(403, Because.Forbidden)]
    [InlineData(404, Because.NotSupported)]
    [InlineData(429, Because.Unreachable)]
    [InlineData(502, Because.Unreachable)]
    [InlineData(503, Because.Unreachable)]
    [InlineData(504, Because.Unreachable)]
    [InlineData(418, Because.Unknown)]
    public Task Http_status_is_said(int http, Because expected) => AssertAsync(expected, $"{http}", context =>
    {
        context.Response.StatusCode = http;
        return Task.CompletedTask;
    });

    [Fact]
    public Task Status_without_a_message_names_the_call() => AssertAsync(Because.Gone, "GetNode", context =>
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = "10";
        return Task.CompletedTask;
    });

    [Fact]
    public Task Answer_that_ends_too_soon_is_an_error() => AssertAsync(Because.Failed, "without a grpc-status", async context =>
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(new byte[5]);
    });

    [Fact]
    public Task Status_that_does_not_exist_is_unknown() => AssertAsync(Because.Unknown, "GetNode", context =>
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = "99";
        return Task.CompletedTask;
    });

    [Theory]
    [InlineData(0x0, Because.Unreachable)]
    [InlineData(0x1, Because.Unreachable)]
    [InlineData(0x2, Because.Failed)]
    [InlineData(0x7, Because.Unreachable)]
    [InlineData(0x8, Because.Cancelled)]
    [InlineData(0xb, Because.Busy)]
    [InlineData(0xc, Because.Forbidden)]
    public Task Reset_stream_is_said(int http2Error, Because expected) =>
        // After the headers: before them .NET would send a refused stream again by itself.
        AssertAsync(expected, $"error 0x{http2Error:x}", async context =>
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.FlushAsync();
            context.Features.GetRequiredFeature<IHttpResetFeature>().Reset(http2Error);
        });

    [Fact]
    public Task Lost_connection_is_unavailable() => AssertAsync(Because.Unreachable, "connection", async context =>
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.FlushAsync();
        context.Features.GetRequiredFeature<Microsoft.AspNetCore.Connections.Features.IConnectionLifetimeFeature>().Abort();
    });

    private static async Task AssertAsync(Because expected, string detail, RequestDelegate answer)
    {
        await using OddServer server = await OddServer.AnswerAsync(answer);
        using CallChannel channel = CallChannel.Connect(server.Target);
        Refusal error = await Assert.ThrowsAsync<Refusal>(async () => await channel.Control().GetNodeAsync(new GetNodeRequest()));
        Assert.Equal((expected, true), (error.Why, error.Message.Contains(detail, StringComparison.Ordinal)));
        Assert.Contains(server.Target, error.Message, StringComparison.Ordinal);
    }
}
