using System.Globalization;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.Tests.OfficialClient;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>This project's client calls a server of Node.js's gRPC, so that no misreading of the protocol is shared by both ends.</summary>
public sealed class OfficialServerTests : IClassFixture<OfficialGrpcClient>
{
    private readonly OfficialGrpcClient _node;

    public OfficialServerTests(OfficialGrpcClient node)
    {
        _node = node;
    }

    [MachineFact(Needs.Node)]
    public Task Answers_statuses_and_streams_arrive() => ServeAsync(async (channel, _) =>
    {
        Guest guest = await GetGuestAsync(channel, "gäst 🐧");
        Assert.Equal("gäst 🐧", guest.Spec.Name);

        string large = new('x', 3 * 1024 * 1024);
        Assert.Equal(large, (await GetGuestAsync(channel, large)).Spec.Name);

        const string Detail = "no guest 'é' – 日本 🐧 100%";
        GrpcException error = await Assert.ThrowsAsync<GrpcException>(() => GetGuestAsync(channel, $"fail 5 {Detail}"));
        Assert.Equal((GrpcStatusCode.NotFound, Detail), (error.Code, error.Message));

        var pages = new List<ulong>();
        await foreach (Migration one in channel.StreamAsync(
            ControlMethods.WatchMigration, new WatchMigrationRequest { Id = "300" }, Deadlines.Token()))
        {
            pages.Add(one.PagesReceived);
        }

        Assert.Equal(Enumerable.Range(0, 300).Select(i => (ulong)i), pages);

        GrpcException missing = await Assert.ThrowsAsync<GrpcException>(
            () => channel.CallAsync(ControlMethods.GetNode, new GetNodeRequest(), null, Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.Unimplemented, missing.Code);
    });

    [MachineFact(Needs.Node)]
    public Task Deadline_and_cancellation_reach_the_server() => ServeAsync(async (channel, output) =>
    {
        GrpcException late = await Assert.ThrowsAsync<GrpcException>(() => channel.CallAsync(
            ControlMethods.GetGuest, new GetGuestRequest { Name = "hang deadline" }, TimeSpan.FromSeconds(1), Deadlines.Token()));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, late.Code);
        Assert.Equal("hang deadline", await output.ReadLineAsync(Deadlines.Token()));

        using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => channel.CallAsync(
            ControlMethods.GetGuest, new GetGuestRequest { Name = "hang cancel" }, null, cancel.Token));
        Assert.Equal("hang cancel", await output.ReadLineAsync(Deadlines.Token()));
    });

    private Task ServeAsync(Func<GrpcChannel, StreamReader, Task> use) => _node.RunAsync("serve.js", async (_, output) =>
    {
        string? line = await output.ReadLineAsync(Deadlines.Token());
        int port = int.Parse(line!, CultureInfo.InvariantCulture);
        using GrpcChannel channel = GrpcChannel.Connect($"127.0.0.1:{port}");
        await use(channel, output);
    });

    private static Task<Guest> GetGuestAsync(GrpcChannel channel, string name) =>
        channel.CallAsync(ControlMethods.GetGuest, new GetGuestRequest { Name = name }, null, Deadlines.Token());
}
