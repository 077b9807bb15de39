using System.Text.Json;
using System.Text.Json.Nodes;
using Grpc.Core;
using MigrationD.Protocol.Tests.OfficialClient;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Calls;

/// <summary>The gRPC of Node.js, unmodified, calls this project's server: what is on the wire is gRPC.</summary>
public sealed class OfficialClientTests : IClassFixture<OfficialGrpcClient>, IClassFixture<ControlServer>
{
    private readonly OfficialGrpcClient _client;
    private readonly ControlServer _server;

    public OfficialClientTests(OfficialGrpcClient client, ControlServer server)
    {
        _client = client;
        _server = server;
    }

    [MachineTheory(Needs.Node)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Unary_call_is_answered(bool unix)
    {
        JsonNode result = await CallAsync("GetGuest", new { name = "gäst 🐧" }, unix: unix);
        Assert.Equal(StatusCode.OK, Code(result));
        Assert.Equal("gäst 🐧", Assert.Single(result["messages"]!.AsArray())!["spec"]!["name"]!.GetValue<string>());
    }

    [MachineTheory(Needs.Node)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stream_arrives_whole_and_in_order(bool unix)
    {
        JsonNode result = await CallAsync("WatchMigration", new { id = "300 then ok" }, unix: unix);
        Assert.Equal(StatusCode.OK, Code(result));
        Assert.Equal(
            Enumerable.Range(0, 300).Select(i => $"{i}"),
            result["messages"]!.AsArray().Select(message => message!["pagesReceived"]!.GetValue<string>()));
    }

    [MachineTheory(Needs.Node)]
    [InlineData("GetGuest", "", 0)]
    [InlineData("WatchMigration", "0 then ", 0)]
    [InlineData("WatchMigration", "2 then ", 2)]
    public async Task Status_and_its_message_arrive(string method, string prefix, int messages)
    {
        const string Detail = "no guest 'é' – 日本 🐧 100%\nnext line";
        string order = $"{prefix}fail NotFound {Detail}";
        JsonNode result = await CallAsync(method, new { name = order, id = order });
        Assert.Equal(StatusCode.NotFound, Code(result));
        Assert.Equal(Detail, result["details"]!.GetValue<string>());
        Assert.Equal(messages, result["messages"]!.AsArray().Count);
    }

    [MachineFact(Needs.Node)]
    public async Task Handlers_exception_is_internal()
    {
        JsonNode result = await CallAsync("GetGuest", new { name = "throw" });
        Assert.Equal(StatusCode.Internal, Code(result));
        Assert.DoesNotContain("secret", result["details"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [MachineFact(Needs.Node)]
    public async Task Deadline_ends_the_call_on_both_sides()
    {
        string name = $"hang {Guid.NewGuid()}";
        JsonNode result = await CallAsync("GetGuest", new { name }, deadlineMs: 1500);
        Assert.Equal(StatusCode.DeadlineExceeded, Code(result));
        await _server.EndedAsync(name);
    }

    [MachineFact(Needs.Node)]
    public async Task Cancelling_a_call_fires_the_token_of_its_handler()
    {
        string name = $"hang {Guid.NewGuid()}";
        JsonNode result = await CallAsync("GetGuest", new { name }, cancelWhen: _server.StartedAsync(name));
        Assert.Equal(StatusCode.Cancelled, Code(result));
        await _server.EndedAsync(name);
    }

    [MachineFact(Needs.Node)]
    public async Task Cancelling_a_stream_fires_the_token_of_its_handler()
    {
        string name = $"hang {Guid.NewGuid()}";
        JsonNode result = await CallAsync("WatchMigration", new { id = $"2 then {name}" }, cancelAfterMessages: 2);
        Assert.Equal(StatusCode.Cancelled, Code(result));
        await _server.EndedAsync(name);
    }

    [MachineTheory(Needs.Node)]
    [InlineData(3 * 1024 * 1024, StatusCode.OK)]
    [InlineData(5 * 1024 * 1024, StatusCode.ResourceExhausted)]
    public async Task Large_request_passes_up_to_the_limit(int length, StatusCode expected)
    {
        JsonNode result = await CallAsync("GetGuest", new { name = new string('x', length) });
        Assert.Equal(expected, Code(result));
        if (expected == StatusCode.OK)
        {
            Assert.Equal(length, result["messages"]![0]!["spec"]!["name"]!.GetValue<string>().Length);
        }
    }

    [MachineFact(Needs.Node)]
    public async Task Method_that_is_not_mapped_is_unimplemented()
    {
        JsonNode result = await CallAsync("Run", new { session = "x" }, service: "Transport");
        Assert.Equal(StatusCode.Unimplemented, Code(result));
        Assert.Contains("unimplemented", result["details"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    private async Task<JsonNode> CallAsync(
        string method,
        object request,
        string service = "Control",
        bool unix = false,
        int? deadlineMs = null,
        int? cancelAfterMessages = null,
        Task? cancelWhen = null)
    {
        var order = new Dictionary<string, object>
        {
            ["target"] = unix ? _server.UnixTarget : _server.TcpTarget,
            ["service"] = service,
            ["method"] = method,
            ["request"] = request,
        };
        if (deadlineMs is { } milliseconds)
        {
            order["deadlineMs"] = milliseconds;
        }

        if (cancelAfterMessages is { } messages)
        {
            order["cancelAfterMessages"] = messages;
        }

        string? line = null;
        await _client.RunAsync("call.js", async (input, output) =>
        {
            await input.WriteLineAsync(JsonSerializer.Serialize(order));
            await input.FlushAsync();
            if (cancelWhen is not null)
            {
                await cancelWhen;
                await input.WriteLineAsync("cancel");
                await input.FlushAsync();
            }

            line = await output.ReadLineAsync();
        });
        return JsonNode.Parse(line!)!;
    }

    private static StatusCode Code(JsonNode result) => (StatusCode)result["code"]!.GetValue<int>();
}
