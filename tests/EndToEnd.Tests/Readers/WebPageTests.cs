using System.Net;
using System.Text.Json.Nodes;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>The page that a daemon serves, in a real browser, while a guest moves between two real daemons.</summary>
public sealed class WebPageTests(ReaderScripts scripts) : IClassFixture<ReaderScripts>
{
    private const Needs Browser = Needs.Node | Needs.Chromium;
    private const Needs Host = Needs.Userfaultfd | Needs.Kvm;
    private const int Blocks = 64;
    private const int Pages = Blocks * 512;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);
    private static readonly string[] Paths = ["missing", "urgent", "push", "zero", "mixed", "sent"];

    [MachineFact(Host | Browser)]
    public async Task The_map_of_a_guests_memory_fills_up()
    {
        // The guest runs at the destination, which gets only what it asks for, until the browser has seen that: half of the map is empty.
        await using DaemonProcess source = await DaemonProcess.StartAsync(
            "source", start => start.Environment["MIGRATIOND_FAULT"] = "source.run-after:wait");
        await using DaemonProcess destination = await DaemonProcess.StartAsync("destination", DaemonProcess.Readable);
        await source.CreateGuestAsync("g", "kvm", "128MiB", "64MiB");

        Task<JsonNode> watching = scripts.RunAsync("page.js", source.GoOn, "watch", $"http://{destination.Web}/", "g");
        await PageIsOpenAsync(destination, watching);
        string id = await source.BeginMigrationAsync("g", destination);
        JsonNode seen = await watching;
        Migration done = await destination.MigrationUntilAsync(id, one => one.State == MigrationState.Completed);

        AssertUndisturbed(seen, destination);
        Assert.Equal(id, (string)seen["id"]!);
        JsonNode during = seen["during"]!;
        Assert.Equal("destination", (string)during["node"]!);
        Assert.Equal("postcopy-active", (string)during["state"]!);
        Assert.Equal("from source to here", (string)during["route"]!);
        Assert.Equal(("running", "kvm", "128 MiB", "0"), Row(during));
        Assert.EndsWith("steps/s", (string)during["guest"]!["speed"]!, StringComparison.Ordinal);
        AssertCells(during, id, missing: cells => cells is > 8 and < Blocks);
        Assert.True(Cells(during, "urgent") + Cells(during, "mixed") > 0, during.ToJsonString());

        JsonNode after = seen["after"]!;
        Assert.Equal(("running", "kvm", "128 MiB", "0"), Row(after));
        AssertCells(after, id, missing: cells => cells == 0);
        Assert.Equal(Pages, (int)after["picture"]!["pages"]!);
        Assert.Equal($"{Pages:N0} of {Pages:N0}", (string)after["figures"]!["pages"]!);
        Assert.Equal($"{done.Placement.PagesUrgent:N0}", (string)after["figures"]!["urgent"]!);
        Assert.Equal($"{done.Placement.PagesZero:N0}", (string)after["figures"]!["zero"]!);
        Assert.Equal("100.0 %", (string)after["percent"]!);
        Assert.StartsWith("M", (string)after["spark"]!, StringComparison.Ordinal);
        Assert.Equal((long)done.Placement.FaultLatency.Count, after["histogram"]!.AsArray().Sum(bucket => (long)bucket!));
        Assert.StartsWith("block 1 at 2 MiB: 512 of 512 pages, ", (string)seen["cell"]!, StringComparison.Ordinal);

        // As light or as dark as the browser's user likes it, and the map is drawn in the colours of that.
        Assert.InRange((double)seen["light"]!["back"]!, 200, 255);
        Assert.InRange((double)seen["dark"]!["back"]!, 0, 60);
        AssertPicture(seen["dark"]!["picture"]!);
    }

    [MachineFact(Browser | Needs.Userfaultfd)]
    public async Task What_a_peer_calls_itself_is_text_on_the_page()
    {
        const string Markup = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;";
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var peer = CallChannel.Connect(daemon.Listen);
        PrepareRequest prepare = Requests.Prepare("hostile", "<b>hostile</b>");
        prepare.SourceNode = Markup;
        await peer.Transport().PrepareAsync(prepare);

        JsonNode seen = await BrowseAsync("read", daemon);

        AssertUndisturbed(seen, daemon);
        Assert.Equal($"from {Markup} to here", (string)seen["route"]!);
        string[] tags = [.. seen["tags"]!.AsArray().Select(tag => (string)tag!)];
        Assert.DoesNotContain("img", tags);
        Assert.DoesNotContain("script", tags);
        using var http = new HttpClient();
        string json = await http.GetStringAsync(new Uri($"http://{daemon.Web}/api/state"));
        Assert.DoesNotContain('<', json);
        Assert.Equal(Markup, (string)JsonNode.Parse(json)!["migrations"]![0]!["peer"]!);
    }

    [MachineFact(Browser)]
    public async Task Two_hundred_guests_are_listed_filtered_and_sorted()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        (await daemon.CliAsync(
            "guest", "create", "g", "--kind", "workload", "--memory", "4MiB", "--working-set", "1MiB", "--vcpus", "1")).Succeeds();

        JsonNode seen = await BrowseAsync("many", daemon, "200");

        AssertUndisturbed(seen, daemon);
        Assert.Equal((200, 100, "guest-199"), ((int)seen["rows"]!, (int)seen["filtered"]!, (string)seen["last"]!));
        Assert.True((bool)seen["wide"]!, "the page is wider than its window");
    }

    [Fact]
    public async Task Without_the_option_there_is_nothing_to_read()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon");
        Assert.Equal("", daemon.Web);
        Assert.Null((await daemon.CliAsync("node", "--json")).Succeeds().Json["web"]);
        using var http = new HttpClient { BaseAddress = new Uri($"http://{daemon.Listen}") };
        foreach (string path in new[] { "/", "/web/page.js", "/api/state", "/api/migrations/x/map", "/metrics" })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, path)
            {
                Version = HttpVersion.Version20,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            Assert.Equal(HttpStatusCode.NotFound, (await http.SendAsync(request)).StatusCode);
        }
    }

    [Fact]
    public async Task The_answers_carry_what_keeps_a_browser_in_bounds()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var http = new HttpClient { BaseAddress = new Uri($"http://{daemon.Web}") };
        foreach (string path in new[] { "/", "/web/page.js", "/web/page.css", "/web/icon.svg", "/api/state", "/metrics" })
        {
            using HttpResponseMessage response = await http.GetAsync(path);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal("nosniff", Header(response, "X-Content-Type-Options"));
            Assert.Equal("DENY", Header(response, "X-Frame-Options"));
            string policy = Header(response, "Content-Security-Policy");
            Assert.StartsWith("default-src 'none';", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
        }

        Assert.Equal(daemon.Web, (string?)(await daemon.CliAsync("node", "--json")).Succeeds().Json["web"]);
        using HttpResponseMessage map = await http.GetAsync("/api/migrations/none/map");
        Assert.Equal(HttpStatusCode.NotFound, map.StatusCode);
        Assert.Equal("application/json", map.Content.Headers.ContentType!.MediaType);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await http.DeleteAsync(new Uri("/metrics", UriKind.Relative))).StatusCode);
    }

    [Fact]
    public async Task A_name_that_is_not_this_hosts_is_not_answered_on_loopback()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", DaemonProcess.Readable);
        using var http = new HttpClient();
        foreach ((string host, HttpStatusCode expected) in new[]
        {
            ("stranger.example", HttpStatusCode.MisdirectedRequest), ("localhost", HttpStatusCode.OK), ("127.0.0.1", HttpStatusCode.OK),
            ("[::1]", HttpStatusCode.OK),
        })
        {
            var request = new HttpRequestMessage(HttpMethod.Get, $"http://{daemon.Web}/api/state") { Headers = { Host = host } };
            Assert.Equal((host, expected), (host, (await http.SendAsync(request)).StatusCode));
        }
    }

    private static string Header(HttpResponseMessage response, string name) => response.Headers.GetValues(name).Single();

    /// <summary>Waits until the browser's page has asked for the state, which the daemon counts; or until the browser has failed.</summary>
    private static async Task PageIsOpenAsync(DaemonProcess daemon, Task browsing)
    {
        using var http = new HttpClient();
        using var deadline = new CancellationTokenSource(Deadline);
        while (!browsing.IsCompleted)
        {
            string metrics = await http.GetStringAsync(new Uri($"http://{daemon.Web}/metrics"), deadline.Token);
            if (metrics.Contains("""migrationd_requests_total{code="200",route="/api/state"}""", StringComparison.Ordinal))
            {
                return;
            }

            await Task.Delay(50, deadline.Token);
        }

        await browsing;
    }

    private Task<JsonNode> BrowseAsync(string mode, DaemonProcess daemon, params string[] arguments) =>
        scripts.RunAsync("page.js", "", [mode, $"http://{daemon.Web}/", .. arguments]);

    private static void AssertUndisturbed(JsonNode seen, DaemonProcess daemon)
    {
        Assert.Empty(seen["errors"]!.AsArray().Select(error => (string)error!));
        Assert.Equal(0, (int)seen["dialogs"]!);
        Assert.Equal([$"http://{daemon.Web}"], seen["origins"]!.AsArray().Select(origin => (string)origin!));
    }

    private static (string State, string Kind, string Memory, string Corrupt) Row(JsonNode seen)
    {
        JsonNode row = seen["guest"]!;
        return ((string)row["state"]!, (string)row["kind"]!, (string)row["memory"]!, (string)row["corrupt"]!);
    }

    private static int Cells(JsonNode seen, string path) => (int)seen["cells"]![path]!;

    private static void AssertCells(JsonNode seen, string id, Func<int, bool> missing)
    {
        Assert.Equal(Blocks, Paths.Sum(path => Cells(seen, path)));
        Assert.True(missing(Cells(seen, "missing")), $"migration {id}: {seen["cells"]!.ToJsonString()}");
        Assert.Equal(0, Cells(seen, "sent"));
        Assert.Contains($"{Blocks} blocks of 2 MiB", (string)seen["label"]!, StringComparison.Ordinal);
        AssertPicture(seen["picture"]!);
    }

    /// <summary>The picture has as much of each colour as the pages that the daemon has told of come to.</summary>
    private static void AssertPicture(JsonNode picture)
    {
        double pixels = (int)picture["pixels"]!;
        foreach (string path in Paths)
        {
            double painted = (int)picture["painted"]![path]! / pixels;
            double expected = (int)picture["expected"]![path]! / pixels;
            Assert.True(
                Math.Abs(painted - expected) < 0.01,
                $"{path} is {painted:P1} of the map and should be {expected:P1}: {picture.ToJsonString()}");
        }
    }
}
