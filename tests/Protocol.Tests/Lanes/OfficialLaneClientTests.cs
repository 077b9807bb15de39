using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.Pages;
using MigrationD.Protocol.Refusals;
using MigrationD.Protocol.Tests.OfficialClient;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>The gRPC of Node.js, unmodified, pushes pages on a lane and answers requests on another: what is on the wire is gRPC.</summary>
public sealed class OfficialLaneClientTests(OfficialGrpcClient client) : IClassFixture<OfficialGrpcClient>
{
    private const string Secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    [MachineTheory(Needs.Node)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pages_are_pushed_and_requests_are_answered(bool secure)
    {
        const int Requests = 50;
        var runs = new List<(uint First, uint Count, bool Zero)> { (0, 512, false), (512, 100_000, true), (1023, 1, false) };
        runs.AddRange(Enumerable.Range(0, 40).Select(i => ((uint)(2048 + (i * 64)), 64u, i % 5 == 0)));
        var pushed = new List<(uint First, uint Count, bool Zero)>();
        using var authority = new TestAuthority();
        X509Certificate2 certificate = authority.Issue("node");
        string? subject = null;
        PeerTls tls = authority.Tls(refuse: peer =>
        {
            subject = peer.Subject;
            return null;
        });
        using var fixture = new LaneFixture(call =>
        {
            Authenticate(call);
            switch (call.Path)
            {
                case PageLanePaths.Push:
                    ServePush(call, pushed);
                    break;
                case PageLanePaths.Urgent:
                    ServeUrgent(call, Requests);
                    break;
            }
        },
            new LaneOptions { Tls = secure ? tls : null });
        object? files = !secure ? null : new
        {
            root = authority.RootPem,
            key = certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem(),
            certificate = certificate.ExportCertificatePem(),
        };
        JsonNode result = await RunAsync(fixture, Secret, runs, files);
        ulong pages = runs.Aggregate(0ul, (sum, run) => sum + run.Count);
        Assert.Equal(secure ? "CN=node" : null, subject);
        Assert.Equal((0, ""), Status(result["push"]!));
        Assert.Equal($"{pages}", result["push"]!["reports"]!.AsArray()[^1]!.GetValue<string>());
        Assert.Equal(runs, pushed);
        Assert.Equal((0, ""), Status(result["urgent"]!));
        Assert.Equal(
            Enumerable.Range(0, Requests).Select(i => $"{i * 7}"),
            result["urgent"]!["requests"]!.AsArray().Select(page => page!.GetValue<string>()));
    }

    [MachineFact(Needs.Node)]
    public async Task Guest_is_handed_over()
    {
        var orders = new List<HandoverOrder>();
        using var fixture = new LaneFixture(call =>
        {
            Authenticate(call);
            call.Accept();
            while (call.TryReadMessage(out int length))
            {
                byte[] message = new byte[length];
                call.Read(message);
                orders.Add(HandoverOrder.Parser.ParseFrom(message));
                call.Write(new HandoverAnswer { Code = (uint)orders.Count - 1, Message = $"answer {orders.Count}, é" }.ToByteArray());
            }
        });
        JsonNode? result = null;
        await client.RunAsync("handover.js", async (input, output) =>
        {
            await input.WriteLineAsync(JsonSerializer.Serialize(new
            {
                target = fixture.Listener.LocalEndPoint.ToString(),
                session = "session-1",
                secret = Secret,
                staleRuns = new[] { 3, 2, 70_000, 1 },
                deviceState = Convert.ToBase64String(new byte[300_000]),
            }));
            await input.FlushAsync();
            result = JsonNode.Parse((await output.ReadLineAsync())!);
        });
        Assert.Equal((0, ""), Status(result!));
        Assert.Equal(
            ["0 answer 1, é", "1 answer 2, é", "2 answer 3, é"],
            result!["answers"]!.AsArray().Select(answer => $"{answer!["code"]} {answer["message"]}"));
        Assert.Equal([3UL, 2, 70_000, 1], orders[0].Forget.StaleRuns);
        Assert.Equal(300_000, orders[1].LoadState.DeviceState.Length);
        Assert.Equal(HandoverOrder.OrderOneofCase.Run, orders[2].OrderCase);
    }

    [MachineFact(Needs.Node)]
    public async Task Wrong_secret_is_refused_in_words()
    {
        using var fixture = new LaneFixture(Authenticate);
        JsonNode result = await RunAsync(fixture, "AAAA", []);
        (int, string) refused = ((int)Because.Untrusted, "no session 'sänd' – wrong secret");
        Assert.Equal(refused, Status(result["push"]!));
        Assert.Equal(refused, Status(result["urgent"]!));
    }

    [MachineFact(Needs.Node)]
    public async Task Message_that_breaks_a_rule_is_refused_in_words()
    {
        using var fixture = new LaneFixture(call =>
        {
            Authenticate(call);
            if (call.Path == PageLanePaths.Push)
            {
                ServePush(call, []);
            }
        });
        JsonNode result = await RunAsync(fixture, Secret, [(0, 0, true)]);
        (int code, string details) = Status(result["push"]!);
        Assert.Equal((int)Because.Invalid, code);
        Assert.Contains("a run of 0 pages", details, StringComparison.Ordinal);
    }

    private static void Authenticate(LaneCall call)
    {
        string secret = call.Metadata.GetValueOrDefault(PageLanePaths.SecretMetadata, "");
        if (call.Metadata.GetValueOrDefault(PageLanePaths.SessionMetadata) != "session-1" || secret.TrimEnd('=') != Secret.TrimEnd('='))
        {
            throw new Refusal(Because.Untrusted, "no session 'sänd' – wrong secret");
        }
    }

    private static void ServePush(LaneCall call, List<(uint First, uint Count, bool Zero)> pushed)
    {
        call.Accept();
        ulong pages = 0;
        var data = new byte[PageRunHeader.MaxDataPages * PageRunHeader.PageSize];
        while (call.TryReadMessage(out _))
        {
            PageRunHeader run = PageRunCodec.ReadHeader(call);
            call.Read(data.AsSpan(0, run.DataLength));
            for (int page = 0; page < run.DataLength / PageRunHeader.PageSize; page++)
            {
                AssertPage(run.FirstPage + (ulong)page, data.AsSpan(page * PageRunHeader.PageSize, PageRunHeader.PageSize));
            }

            pushed.Add(((uint)run.FirstPage, run.PageCount, run.IsZero));
            pages += run.PageCount;
            if (pushed.Count % 10 == 0)
            {
                call.Write(new PushReport { PagesReceived = pages }.ToByteArray());
            }
        }

        call.Write(new PushReport { PagesReceived = pages }.ToByteArray());
    }

    private static void ServeUrgent(LaneCall call, int requests)
    {
        call.Accept();
        Span<byte> request = stackalloc byte[PageRequestCodec.MaxBytes];
        var page = new byte[PageRunHeader.PageSize];
        for (uint i = 0; i < requests; i++)
        {
            call.Write(request[..PageRequestCodec.Encode(new PageAddress(3, i * 7), request)]);
            Assert.True(call.TryReadMessage(out _));
            Assert.Equal(new PageRunHeader(3, i * 7, 1, IsZero: false), PageRunCodec.ReadHeader(call));
            call.Read(page);
            AssertPage(i * 7, page);
        }
    }

    private static void AssertPage(ulong page, ReadOnlySpan<byte> content) =>
        Assert.False(content.ContainsAnyExcept((byte)(page % 251)), $"page {page} has other content");

    private static (int Code, string Details) Status(JsonNode call) => (call["code"]!.GetValue<int>(), call["details"]!.GetValue<string>());

    private async Task<JsonNode> RunAsync(
        LaneFixture fixture, string secret, List<(uint First, uint Count, bool Zero)> runs, object? tls = null)
    {
        JsonNode? result = null;
        await client.RunAsync("lanes.js", async (input, output) =>
        {
            await input.WriteLineAsync(JsonSerializer.Serialize(new
            {
                target = fixture.Listener.LocalEndPoint.ToString(),
                session = "session-1",
                secret,
                runs = runs.Select(run => new { firstPage = run.First, pageCount = run.Count, zero = run.Zero }),
                tls,
            }));
            await input.FlushAsync();
            result = JsonNode.Parse((await output.ReadLineAsync())!);
        });
        return result!;
    }
}
