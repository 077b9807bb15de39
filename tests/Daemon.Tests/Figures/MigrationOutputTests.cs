using System.Text.Json;
using MigrationD.Daemon.Cli.Views;
using MigrationD.Daemon.Json;
using MigrationD.Daemon.Tests.Cli;
using MigrationD.Daemon.Web;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;
using Spectre.Console;

namespace MigrationD.Daemon.Tests.Figures;

/// <summary>
/// All that is printed of a migration, for programs and for people, is byte for byte what lies in Outputs/: keys in their order, names of
/// QEMU and libvirt, numbers and their rounding, what is left out.
/// </summary>
public sealed class MigrationOutputTests
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private static readonly Dictionary<string, Migration> Migrations = new()
    {
        ["ended"] = Ended(),
        ["at-destination"] = AtDestination(),
        ["before-switchover"] = BeforeSwitchover(),
        ["unknown"] = new Migration(),
    };

    public static TheoryData<string> Names => [.. Migrations.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Everything_printed_of_a_migration_is_what_is_stored(string name)
    {
        string stored = Path.Combine(
            WorkingTree.Above(AppContext.BaseDirectory)!, "tests", "Daemon.Tests", "Figures", "Outputs", $"{name}.txt");
        string expected = File.Exists(stored) ? File.ReadAllText(stored) : "";
        string printed = AllOutputs(Migrations[name]);
        if (printed != expected)
        {
            string printedTo = Path.Combine(Path.GetTempPath(), $"migrationd-output-{name}.txt");
            File.WriteAllText(printedTo, printed);
            string[] was = expected.Split('\n'), now = printed.Split('\n');
            int line = was.Zip(now).TakeWhile(pair => pair.First == pair.Second).Count();
            Assert.Fail($"line {line + 1} of {stored} is not what is printed; all that is, is in {printedTo}. If it is meant, copy it there."
                + $"\nstored:  {was.ElementAtOrDefault(line)}\nprinted: {now.ElementAtOrDefault(line)}");
        }
    }

    /// <summary>Everything is known, and no two figures are equal.</summary>
    internal static Migration Ended()
    {
        Migration migration = Samples.Migration();
        migration.Reason = "the source's \"reason\" <b> & 5 µs";
        migration.TotalUs = 2_500_501;
        migration.Limits = new MigrationLimits { Bandwidth = 52_428_800, PostcopyBandwidth = 1_000_000, MaxRounds = 30, DowntimeLimitMs = 300 };
        migration.Compression = new CompressionFigures { Format = "zstd", PagesPacked = 512, BytesSaved = 1_000_000 };
        migration.ReleasedBytes = 2_097_152;
        migration.Precopy.CpuThrottlePercentage = 40;
        migration.Placement.PagesReplaced = 11;
        migration.Placement.PagesForgotten = 12;
        migration.Placement.PagesZeroUrgent = 13;
        return migration;
    }

    private static string AllOutputs(Migration migration)
    {
        using var console = new RecordedConsole(width: 400);
        MigrationView.WriteList(console.Ansi, [migration]);
        console.Ansi.WriteLine();
        MigrationView.Write(console.Ansi, migration);
        console.Ansi.WriteLine();
        console.Ansi.Write(MigrationLiveView.Of(migration, 100));

        var node = new NodeJson("alpha", "1", [1], "l", "p", null, 7, false);
        var drain = new DrainGuest { Name = "web", MemoryBytes = 4, State = DrainState.Moving, Migration = migration };
        return string.Join("\n",
        [
            "# migration list, migration show, and the live view", .. console.Lines,
            "# migrate --json", Line(JsonShapes.Of(migration)),
            "# migration show --json", Line(JsonShapes.Detailed(migration)),
            "# demo --json", Line(new DemoJson("ok", null, null, JsonShapes.DemoMigration(migration))),
            "# drain --json", Line(JsonShapes.Of(drain)),
            "# top --json", Line(new TopJson(node, [], [JsonShapes.Of(migration)])),
            "# /api/state",
            JsonSerializer.Serialize(new StateJson(Noon, node, [], [JsonShapes.Of(migration)], 1), WebJson.Default.StateJson), "",
        ]);
    }

    private static string Line<T>(T value)
    {
        using var writer = new StringWriter();
        CliJson.WriteLine(writer, value);
        return writer.ToString().TrimEnd('\n');
    }

    /// <summary>The guest runs here, and half of its pages have come; what only the source knows is not there.</summary>
    private static Migration AtDestination()
    {
        Migration migration = Samples.Migration(MigrationState.PostcopyActive);
        migration.Role = MigrationRole.Destination;
        migration.Peer = "beta";
        migration.PagesTotal = 2048;
        migration.PagesPerSecond = 333.3333;
        migration.BytesPerSecond = 1_234_567.891;
        migration.ClearDowntimeUs();
        migration.ClearDowntimeBytes();
        migration.ClearSetupUs();
        migration.Recoveries = 0;
        migration.PagesLost = 0;
        migration.Precopy = new PrecopyFigures { TimeUs = 1_999_999, Bytes = 1_000_001 };
        return migration;
    }

    /// <summary>A source in precopy: nothing has been said by the destination, and one limit is in force.</summary>
    private static Migration BeforeSwitchover()
    {
        Migration migration = Samples.Migration(MigrationState.PrecopyActive);
        migration.Placement = null;
        migration.ClearDowntimeUs();
        migration.ClearDowntimeBytes();
        migration.Precopy.Ended = "";
        migration.Limits = new MigrationLimits { Bandwidth = 1024 };
        return migration;
    }
}
