using System.Text.Json;
using MigrationD.Daemon.Cli.Demo;
using MigrationD.Daemon.Figures;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Notation;
using MigrationD.Daemon.Tests.Cli;
using MigrationD.Daemon.Tests.Cli.Demo;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Json;

public sealed class JsonShapesTests
{
    [Fact]
    public void A_guest()
    {
        var guest = Samples.Guest();
        guest.MigrationId = "m1";
        guest.Failure = "triple fault";
        var json = Print(JsonShapes.Of(guest));

        Assert.Equal(
            "name kind state memoryBytes vcpus workingSetBytes pattern content report failure migrationId",
            Keys(json));
        Assert.Equal("steps sweeps corruptPages largestGapMs", Keys(json.GetProperty("report")));
        Assert.Equal(
            ("web", "kvm", "running", 4_194_304, 2),
            (json.GetProperty("name").GetString(), json.GetProperty("kind").GetString(), json.GetProperty("state").GetString(),
                json.GetProperty("memoryBytes").GetInt64(), json.GetProperty("vcpus").GetInt32()));
        Assert.Equal(1.5, json.GetProperty("report").GetProperty("largestGapMs").GetDouble());
    }

    [Fact]
    public void What_a_guest_has_not_is_left_out()
    {
        var json = Print(JsonShapes.Of(new Protocol.V1.Guest()));
        Assert.Equal("name kind state memoryBytes vcpus workingSetBytes pattern content report", Keys(json));
    }

    [Fact]
    public void A_migration()
    {
        var migration = Samples.Migration();
        migration.Reason = "because";
        migration.Limits = new MigrationLimits { Bandwidth = 52_428_800, MaxRounds = 30 };
        migration.Compression = new CompressionFigures { Format = "zstd", PagesPacked = 512, BytesSaved = 1_000_000 };
        var json = Print(JsonShapes.Of(migration));

        Assert.Equal(
            "id guest role peer mode state reason startedAt totalMs setupMs downtimeMs bytesSent downtimeBytes bytesPerSecond pagesPerSecond "
            + "pagesTotal pagesReceived recoveries pagesLost pagesUrgent pagesPush pagesZero pagesReplaced pagesForgotten pagesRedundant "
            + "pagesRequested prefetchHits "
            + "moves4K moves2M copies retries busyFallbacks blockSplitsAvoided ioctls blocktimeMs allVcpusBlocktimeMs vcpus otherThreads "
            + "faultLatencyUs faultQueueUs faultNetworkUs faultPlaceUs faultLatencyBuckets precopy limits releasedBytes compression",
            Keys(json));
        Assert.Equal(
            "timeMs rounds pagesSent bytes dirtyPages dirtyPagesPerSecond pagesPerSecond ended", Keys(json.GetProperty("precopy")));
        Assert.Equal("count p50 p90 p99 p999 max", Keys(json.GetProperty("faultLatencyUs")));
        Assert.Equal("""{"bandwidth":52428800,"maxRounds":30}""", json.GetProperty("limits").GetRawText());
        Assert.Equal(
            """{"format":"zstd","pagesPacked":512,"bytesSaved":1000000}""", json.GetProperty("compression").GetRawText());
        Assert.Equal(("completed", 2500.0, 8.25, 12.345), (json.GetProperty("state").GetString(),
            json.GetProperty("totalMs").GetDouble(), json.GetProperty("downtimeMs").GetDouble(),
                json.GetProperty("blocktimeMs").GetDouble()));
        Assert.Equal(new DateTimeOffset(2023, 11, 14, 22, 13, 20, 123, 456, TimeSpan.Zero),
            json.GetProperty("startedAt").GetDateTimeOffset());
        Assert.Equal(9, json.GetProperty("faultLatencyBuckets").GetArrayLength());
        Assert.Equal((3, 17), (json.GetProperty("recoveries").GetInt32(), json.GetProperty("pagesLost").GetInt32()));
    }

    [Fact]
    public void A_migration_of_which_nothing_is_known_yet_has_the_same_keys_but_what_is_unknown()
    {
        string[] unknown = ["setupMs", "downtimeMs", "downtimeBytes", "precopy"];
        var all = Keys(Print(JsonShapes.Of(Samples.Migration()))).Split(' ');
        Assert.Equal(all.Except(unknown), Keys(Print(JsonShapes.Of(new Migration()))).Split(' '));
    }

    [Fact]
    public void A_migration_in_the_words_of_QEMU()
    {
        var migration = Samples.Migration();
        migration.Reason = "because";
        var json = Print(JsonShapes.Detailed(migration)).GetProperty("queryMigrate");
        Assert.Equal(
            "status ram total-time setup-time downtime error-desc postcopy-blocktime postcopy-vcpu-blocktime postcopy-latency "
            + "postcopy-latency-dist postcopy-vcpu-latency postcopy-non-vcpu-latency",
            Keys(json));
        Assert.Equal(
            "transferred remaining total duplicate normal normal-bytes mbps pages-per-second page-size dirty-sync-count dirty-pages-rate "
            + "postcopy-requests precopy-bytes downtime-bytes postcopy-bytes",
            Keys(json.GetProperty("ram")));
        Assert.Equal(
            """
            {"status":"completed","ram":{"transferred":4200000,"remaining":0,"total":4194304,"duplicate":100,"normal":924,
            "normal-bytes":3784704,"mbps":13.6,"pages-per-second":409,"page-size":4096,"dirty-sync-count":3,"dirty-pages-rate":900,
            "postcopy-requests":26,"precopy-bytes":1000000,"downtime-bytes":200000,"postcopy-bytes":3000000},
            "total-time":2500,"setup-time":210,"downtime":8,"error-desc":"because",
            "postcopy-blocktime":2,"postcopy-vcpu-blocktime":[4,5],"postcopy-latency":514375,"postcopy-latency-dist":[0,0,0,0,0,20,3,0,1],
            "postcopy-vcpu-latency":[400000,0],"postcopy-non-vcpu-latency":300000}
            """.ReplaceLineEndings(""),
            json.GetRawText());
        Assert.Equal(
            "status ram total-time postcopy-blocktime postcopy-latency-dist",
            Keys(Print(JsonShapes.Detailed(new Migration())).GetProperty("queryMigrate")));
    }

    [Fact]
    public void A_migration_in_the_words_of_libvirt()
    {
        var migration = Samples.Migration();
        migration.Reason = "because";
        Assert.Equal(
            """
            {"operation":"Outgoing migration","success":true,"errmsg":"because","time_elapsed":2500,"downtime":8,"setup_time":210,
            "data_total":4194304,"data_processed":4200000,"data_remaining":0,"memory_total":4194304,"memory_processed":4200000,
            "memory_remaining":0,"memory_constant":100,"memory_normal":924,"memory_normal_bytes":3784704,"memory_bps":1700000,
            "memory_page_size":4096,"memory_iteration":3,"memory_dirty_rate":900,"memory_postcopy_requests":26}
            """.ReplaceLineEndings(""),
            Print(JsonShapes.Detailed(migration)).GetProperty("domJobInfo").GetRawText());

        migration.State = MigrationState.PostcopyActive;
        migration.PagesTotal = 2048;
        Assert.Equal(2500, Print(JsonShapes.Detailed(migration)).GetProperty("domJobInfo").GetProperty("time_remaining").GetInt32());
    }

    [Fact]
    public void A_part_of_a_console()
    {
        var bytes = Print(JsonShapes.Of(new ConsoleChunk { Offset = 7, Data = Google.Protobuf.ByteString.CopyFrom(0, 255) }));
        Assert.Equal("offset base64", Keys(bytes));
        Assert.Equal((7, "AP8="), (bytes.GetProperty("offset").GetInt32(), bytes.GetProperty("base64").GetString()));

        var moved = Print(JsonShapes.Of(new ConsoleChunk { Moved = new ConsoleMove { To = "b:1", MigrationId = "m1" } }));
        Assert.Equal("offset moved", Keys(moved));
        Assert.Equal("to migrationId", Keys(moved.GetProperty("moved")));
        Assert.Equal("offset notice", Keys(Print(JsonShapes.Of(new ConsoleChunk { Notice = "deleted" }))));
    }

    [Fact]
    public void The_demo()
    {
        var evidence = DemoVerdictTests.Good();
        var json = Print(DemoCommand.Shape(evidence, DemoVerdict.Problems(evidence)));

        Assert.Equal("verdict guest migration", Keys(json));
        Assert.Equal("kind memoryBytes workingSetBytes vcpus stepsBefore stepsAfter corruptPages largestGapMs",
            Keys(json.GetProperty("guest")));
        Assert.Equal(
            "state totalMs downtimeMs bytesSent pagesUrgent pagesPush pagesZero pagesRedundant moves4K moves2M copies blocktimeMs "
                + "faultLatencyUs",
            Keys(json.GetProperty("migration")));
        Assert.Equal("count p50 p90 p99 p999 max", Keys(json.GetProperty("migration").GetProperty("faultLatencyUs")));
        Assert.Equal("ok", json.GetProperty("verdict").GetString());
    }

    [Fact]
    public void A_demo_that_failed_at_once_says_why_and_nothing_else()
    {
        var evidence = new DemoEvidence { Spec = Samples.Spec(), Failure = "no daemon" };
        var json = Print(DemoCommand.Shape(evidence, DemoVerdict.Problems(evidence)));
        Assert.Equal("verdict reason", Keys(json));
        Assert.Equal(("failed", "no daemon"), (json.GetProperty("verdict").GetString(), json.GetProperty("reason").GetString()));
    }

    [Fact]
    public void A_node_that_takes_guests_again() =>
        Assert.Equal("""{"node":"alpha","drained":false}""", Print(new UndrainJson("alpha", false)).GetRawText());

    [Fact]
    public void An_error() =>
        Assert.Equal(
            """{"error":{"code":"not-found","message":"no guest 'x' µ","exitCode":4}}""",
            Print(new ErrorJson(new("not-found", "no guest 'x' µ", 4))).GetRawText());

    [Fact]
    public void A_node()
    {
        var json = Print(JsonShapes.Of(new Node { Name = "a", Version = "1", ProtocolVersions = { 2, 1 }, Listen = "l", Lanes = "p",
            ProcessId = 7 }));
        Assert.Equal("name version protocolVersions listen lanes processId drained", Keys(json));
    }

    [Fact]
    public void A_drain()
    {
        var moved = new DrainGuest { Name = "web", MemoryBytes = 4, State = DrainState.Moved, Migration = Samples.Migration() };
        var stayed = new DrainGuest { Name = "db", MemoryBytes = 8, State = DrainState.Stayed, Reason = "too large" };
        var json = Print(JsonShapes.Of(moved));
        Assert.Equal(
            "guest memoryBytes state peer migrationId migrationState pagesTotal pagesReceived bytesSent bytesPerSecond downtimeMs totalMs",
            Keys(json));
        Assert.Equal("guest memoryBytes state reason", Keys(Print(JsonShapes.Of(stayed))));

        var tally = new DrainTally();
        tally.Add(new DrainUpdate
        {
            Guests = { moved, stayed },
            Peers = { new DrainPeer { Address = "b:1", Name = "b", FreeBytes = 7 }, new DrainPeer { Address = "c:1", Problem = "off" } },
        });
        var summary = Print(JsonShapes.Of(tally, TimeSpan.FromSeconds(1.5)));
        Assert.Equal("verdict totalMs movedBytes moved stayed gone peers", Keys(summary));
        Assert.Equal(
            ("stayed", 1500.0, 4), (summary.GetProperty("verdict").GetString(), summary.GetProperty("totalMs").GetDouble(),
                summary.GetProperty("movedBytes").GetInt32()));
        Assert.Equal(
            ["address name freeBytes", "address freeBytes problem"], summary.GetProperty("peers").EnumerateArray().Select(Keys));
    }

    [Fact]
    public void Health()
    {
        var checks = new[]
        {
            new HealthCheck { Name = "lanes", Ok = true, Found = "taken" },
            new HealthCheck { Name = "kvm", Found = "EACCES", Remedy = "usermod" },
        };
        var json = Print(JsonShapes.Of(new Health { Node = "a", Checks = { checks } }));
        Assert.Equal("verdict node checks", Keys(json));
        Assert.Equal(
            ["name status found", "name status found remedy"], json.GetProperty("checks").EnumerateArray().Select(Keys));
        Assert.Equal(
            ["ok", "failed"], json.GetProperty("checks").EnumerateArray().Select(check => check.GetProperty("status").GetString()));
        Assert.Equal(("failed", "a"), (json.GetProperty("verdict").GetString(), json.GetProperty("node").GetString()));
        Assert.Equal("ok", JsonShapes.Of(new Health { Node = "a", Checks = { checks[0] } }).Verdict);
    }

    private static JsonElement Print<T>(T value)
    {
        using var writer = new StringWriter();
        CliJson.WriteLine(writer, value);
        Assert.Equal(1, writer.ToString().Count(c => c == '\n'));
        return JsonDocument.Parse(writer.ToString()).RootElement;
    }

    private static string Keys(JsonElement element) => string.Join(' ', element.EnumerateObject().Select(property => property.Name));
}
