using System.Diagnostics;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests.Readers;

/// <summary>A daemon sends its figures to a collector when it is told to, and does its work whether that is there or not.</summary>
public sealed class OtlpTests
{
    private const string Mention = "Figures are not sent to the collector as they should be";

    [Theory]
    [InlineData("grpc")]
    [InlineData("http/protobuf")]
    public async Task A_collector_gets_the_figures_of_the_metrics_page(string protocol)
    {
        await using OtlpCollector collector = await OtlpCollector.StartAsync(protocol);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", Often(protocol), "--otlp", collector.Address);

        // Of what has counted nothing yet an export knows nothing: the calls of this test are in one of the first.
        string[] wanted =
        [
            "migrationd.info", "migrationd.guests", "migrationd.guest.memory", "migrationd.migrations", "migrationd.pages.received",
            "migrationd.lanes.sent", "migrationd.requests",
        ];
        await collector.ExportsUntilAsync(exports => exports.Any(export => wanted.All(export.Metrics.Contains)));
        // An export of nothing, before the first figure, may say nothing of who sends it either.
        Assert.All(collector.Exports.Where(export => export.Metrics.Count > 0), export => Assert.Equal(
            ("migrationd", "daemon"), (export.Resource["service.name"], export.Resource["service.instance.id"])));
        Assert.Equal("", daemon.Web);
    }

    [Fact]
    public async Task The_usual_variable_alone_will_do()
    {
        await using OtlpCollector collector = await OtlpCollector.StartAsync("grpc");
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", start =>
        {
            Often("grpc")(start);
            start.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.Address;
            start.Environment["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test";
        });

        await collector.ExportsUntilAsync(exports => exports.Count > 0);
        Assert.Equal("test", collector.Exports[0].Resource["deployment.environment.name"]);
        Assert.Contains(collector.Address, (await daemon.CliAsync("config", "show")).Succeeds().Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("grpc")]
    [InlineData("http/protobuf")]
    public async Task A_collector_that_refuses_is_mentioned_once(string protocol)
    {
        await using OtlpCollector collector = await OtlpCollector.StartAsync(protocol, refuses: true);
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", Often(protocol), "--otlp", collector.Address);

        await collector.ExportsUntilAsync(exports => exports.Count >= 10);

        await daemon.LogUntilAsync(Mention);
        Assert.Single(daemon.Log.Split('\n'), line => line.Contains(Mention, StringComparison.Ordinal));
    }

    [MachineFact(Needs.Userfaultfd)]
    public async Task A_collector_that_is_not_there_harms_nothing()
    {
        // Reserved, and nothing listens there: tcpmux.
        await using DaemonProcess daemon = await DaemonProcess.StartAsync("daemon", Often("grpc"), "--otlp", "http://127.0.0.1:1");
        await using DaemonProcess other = await DaemonProcess.StartAsync("other");
        await daemon.LogUntilAsync("Connection refused");

        await daemon.CreateGuestAsync("g", "workload", "16MiB", "4MiB", vcpus: 1);
        await daemon.MigrateAsync("g", other);

        Assert.Equal(0, await daemon.StopAsync());
        Assert.Single(daemon.Log.Split('\n'), line => line.Contains(Mention, StringComparison.Ordinal));
    }

    private static Action<ProcessStartInfo> Often(string protocol) => start =>
    {
        start.Environment["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol;
        start.Environment["OTEL_METRIC_EXPORT_INTERVAL"] = "100";
    };
}
