using System.Net;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>Mapping, apart from what calls do.</summary>
public sealed class GrpcEndpointTests
{
    [Fact]
    public async Task Kind_of_method_and_kind_of_mapping_must_agree()
    {
        await using OddServer server = await OddServer.StartAsync(app =>
        {
            Assert.Throws<ArgumentException>(() => app.MapUnary(ControlMethods.WatchMigration, (_, _) => Task.FromResult(new Migration())));
            Assert.Throws<ArgumentException>(() => app.MapServerStreaming(ControlMethods.GetNode, (_, _) => AsyncEnumerable.Empty<Node>()));
        });
    }

    [Fact]
    public async Task Call_over_http_1_is_told_to_upgrade()
    {
        await using OddServer server = await OddServer.StartAsync(
            app => app.MapUnary(ControlMethods.GetNode, (_, _) => Task.FromResult(new Node())), HttpProtocols.Http1);
        using var raw = new RawGrpc(server.Target);
        RawAnswer answer = await raw.PostAsync(ControlMethods.GetNode.Path, [0, 0, 0, 0, 0], http => http.Version = HttpVersion.Version11);
        Assert.Equal((426, null), (answer.HttpStatus, answer.Status));
    }

    [Fact]
    public async Task Handler_that_returns_null_or_throws_ok_is_an_internal_error()
    {
        await using OddServer server = await OddServer.StartAsync(app =>
        {
            app.MapUnary(ControlMethods.GetNode, (_, _) => Task.FromResult<Node>(null!));
            app.MapUnary(ControlMethods.GetGuest, (_, _) => throw new GrpcException(GrpcStatusCode.Ok, "fine"));
        });
        using GrpcChannel channel = GrpcChannel.Connect(server.Target);
        Assert.Equal(GrpcStatusCode.Internal, (await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(ControlMethods.GetNode, new GetNodeRequest(), null, Deadlines.Token()))).Code);
        Assert.Equal(GrpcStatusCode.Internal, (await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest(), null, Deadlines.Token()))).Code);
    }

    [Fact]
    public async Task Answer_that_is_ready_after_the_deadline_is_not_sent()
    {
        await using OddServer server = await OddServer.StartAsync(app => app.MapUnary(ControlMethods.GetNode, async (_, context) =>
        {
            var fired = new TaskCompletionSource();
            await using CancellationTokenRegistration registration = context.CancellationToken.Register(fired.SetResult);
            await fired.Task.WaitAsync(Deadlines.Token());
            return new Node { Name = "late" };
        }));
        using var raw = new RawGrpc(server.Target);
        RawAnswer answer = await raw.PostAsync(
            ControlMethods.GetNode.Path, [0, 0, 0, 0, 0], request => request.Headers.Add("grpc-timeout", "50m"));
        Assert.Equal((200, GrpcStatusCode.DeadlineExceeded), (answer.HttpStatus, answer.Status));
        Assert.Empty(answer.Body);
    }

    [Fact]
    public async Task Message_limit_is_an_option()
    {
        await using OddServer server = await OddServer.StartAsync(
            app => app.MapUnary(ControlMethods.GetGuest, (_, _) => Task.FromResult(new Guest())),
            configure: services => services.Configure<GrpcServerOptions>(options => options.MaxReceiveMessageBytes = 40 * 1024 * 1024));
        using GrpcChannel channel = GrpcChannel.Connect(server.Target);

        // Above Kestrel's own limit of a body, 30,000,000 bytes, too.
        await channel.CallAsync(
            ControlMethods.GetGuest, new GetGuestRequest { Name = new string('x', 35_000_000) }, null, Deadlines.Token());
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(() => channel.CallAsync(
            ControlMethods.GetGuest, new GetGuestRequest { Name = new string('x', 45_000_000) }, null, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, error.Code);
    }
}
