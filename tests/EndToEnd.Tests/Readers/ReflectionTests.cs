using System.Text.Json;
using System.Text.Json.Nodes;
using Grpc.Core;
using MigrationD.EndToEnd.Tests.Security;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>Tools that know gRPC and nothing of this daemon: they learn what it serves, and ask for its health.</summary>
public sealed class ReflectionTests(ReaderScripts scripts) : IClassFixture<ReaderScripts>
{
    private const Needs Host = Needs.Node | Needs.Userfaultfd;
    private const string Health = "grpc.health.v1.Health";

    [MachineFact(Host)]
    public async Task The_control_socket_tells_an_official_client_what_it_serves()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        JsonNode found = await AskAsync($"unix:{daemon.Control}", "migrationd.v1.Control", "GetNode");
        Assert.Equal(
            ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "migrationd.v1.Control"],
            Strings(found["services"]!).Order());
        Assert.Contains("WatchMigration", Strings(found["methods"]!));
        Assert.Equal("alpha", found["message"]!["name"]!.GetValue<string>());
    }

    [MachineFact(Host)]
    public async Task The_peers_door_serves_transport_and_no_control()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        JsonNode found = await AskAsync(daemon.Listen, "migrationd.v1.Transport", "GetCapacity");
        Assert.Contains("migrationd.v1.Transport", Strings(found["services"]!));
        Assert.DoesNotContain("migrationd.v1.Control", Strings(found["services"]!));
        Assert.Equal("alpha", found["message"]!["node"]!.GetValue<string>());
    }

    [MachineTheory(Host)]
    [InlineData("")]
    [InlineData("migrationd.v1.Transport")]
    public async Task A_probe_finds_the_node_serving(string service)
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        JsonNode found = await AskAsync(daemon.Listen, Health, "Check", new { service });
        Assert.Equal("SERVING", found["message"]!["status"]!.GetValue<string>());
    }

    [MachineFact(Host)]
    public async Task A_probe_for_a_service_that_is_not_there_is_told_what_is()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        JsonNode found = await AskAsync(daemon.Listen, Health, "Check", new { service = "migrationd.v1.Control" });
        Assert.Equal((int)StatusCode.NotFound, found["code"]!.GetValue<int>());
        Assert.Contains("migrationd.v1.Transport", found["details"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [MachineFact(Host)]
    public async Task Over_TLS_a_probe_is_admitted_like_any_other_peer()
    {
        using var authority = new Authority();
        string daemonsFolder = authority.Issue("alpha", "127.0.0.1");
        string probe = authority.Issue("probe", "127.0.0.1");
        string stranger = authority.Issue("stranger", "127.0.0.1");
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(
            "alpha", "--tls", daemonsFolder, "--allow-senders", "beta", "--allow-readers", "probe");

        JsonNode found = await AskAsync(daemon.Listen, Health, "Check", new { service = "" }, probe);
        Assert.Equal("SERVING", found["message"]!["status"]!.GetValue<string>());

        await Assert.ThrowsAsync<InvalidOperationException>(
            () => AskAsync(daemon.Listen, Health, "Check", new { service = "" }, stranger));
        await daemon.LogUntilAsync("(CN=stranger) is refused");
    }

    [MachineFact(Host)]
    public async Task A_stream_of_questions_that_is_open_ends_with_a_word_when_its_daemon_stops()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("alpha");
        string status = await scripts.TalkAsync("linger.js", $"unix:{daemon.Control}", async lines =>
        {
            Assert.Equal("open", await lines.ReadLineAsync());
            Assert.Equal(0, await daemon.StopAsync());
            return (await lines.ReadLineAsync())!;
        });
        Assert.Equal((int)StatusCode.Unavailable, JsonNode.Parse(status)!["code"]!.GetValue<int>());
        Assert.Contains("shutting down", status, StringComparison.Ordinal);
    }

    private static IEnumerable<string> Strings(JsonNode list) => list.AsArray().Select(one => one!.GetValue<string>());

    private Task<JsonNode> AskAsync(string target, string service, string method, object? request = null, string? tls = null) =>
        scripts.RunAsync("reflect.js", JsonSerializer.Serialize(new { target, service, method, request = request ?? new { }, tls }));
}
