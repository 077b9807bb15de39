using System.Globalization;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.Tests.OfficialClient;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Calls;

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
        Refusal error = await Assert.ThrowsAsync<Refusal>(() => GetGuestAsync(channel, $"fail 5 {Detail}"));
        Assert.Equal((Because.NotFound, Detail), (error.Why, error.Message));

        var pages = new List<ulong>();
        await foreach (Migration one in channel.Control().WatchMigration(new WatchMigrationRequest { Id = "300" }, cancellationToken: Deadlines.Token()).ReadToEndAsync(Deadlines.Token()))
        {
            pages.Add(one.PagesReceived);
        }

        Assert.Equal(Enumerable.Range(0, 300).Select(i => (ulong)i), pages);

        Refusal missing = await Assert.ThrowsAsync<Refusal>(
            async () => await channel.Control().GetNodeAsync(new GetNodeRequest()));
        Assert.Equal(Because.NotSupported, missing.Why);
    });

    [MachineFact(Needs.Node)]
    public Task Deadline_and_cancellation_reach_the_server() => ServeAsync(async (channel, output) =>
    {
        Refusal late = await Assert.ThrowsAsync<Refusal>(async () => await channel.Control().GetGuestAsync(new GetGuestRequest { Name = "hang deadline" }, deadline: DateTime.UtcNow + TimeSpan.FromSeconds(1)));
        Assert.Equal(Because.TimedOut, late.Why);
        Assert.Equal("hang deadline", await output.ReadLineAsync(Deadlines.Token()));

        using var cancel = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await channel.Control().GetGuestAsync(new GetGuestRequest { Name = "hang cancel" }, cancellationToken: cancel.Token));
        Assert.Equal("hang cancel", await output.ReadLineAsync(Deadlines.Token()));
    });

    private Task ServeAsync(Func<CallChannel, StreamReader, Task> use) => _node.RunAsync("serve.js", async (_, output) =>
    {
        string? line = await output.ReadLineAsync(Deadlines.Token());
        int port = int.Parse(line!, CultureInfo.InvariantCulture);
        using CallChannel channel = CallChannel.Connect($"127.0.0.1:{port}");
        await use(channel, output);
    });

    private static Task<Guest> GetGuestAsync(CallChannel channel, string name) =>
        channel.Control().GetGuestAsync(new GetGuestRequest { Name = name }).ResponseAsync;
}
