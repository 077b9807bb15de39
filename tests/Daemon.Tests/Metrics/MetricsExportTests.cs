using System.Net;
using MigrationD.Daemon.Guests;
using MigrationD.Daemon.Hosting.Doors;
using MigrationD.Daemon.Metrics;
using MigrationD.Daemon.Security;
using Microsoft.Extensions.Logging.Abstractions;

namespace MigrationD.Daemon.Tests.Metrics;

public sealed class MetricsExportTests : IAsyncDisposable
{
    private static readonly MemoryBudget Budget = new(1 << 30);

    private readonly List<IDisposable> _daemons = [];
    private readonly List<Door> _doors = [];
    private readonly HttpClient _http = new();

    public async ValueTask DisposeAsync()
    {
        foreach (Door door in _doors)
        {
            await door.DisposeAsync();
        }

        _daemons.ForEach(one => one.Dispose());
        _http.Dispose();
    }

    [Fact]
    public async Task Each_daemon_of_a_process_tells_its_own_figures()
    {
        (DaemonMeter alpha, string atAlpha) = await OpenAsync("alpha");
        (DaemonMeter beta, string atBeta) = await OpenAsync("beta");
        alpha.RequestAnswered("/alpha", "200");
        beta.RequestAnswered("/beta", "200");
        beta.RequestAnswered("/beta", "200");

        string pageOfAlpha = await _http.GetStringAsync(atAlpha);
        string pageOfBeta = await _http.GetStringAsync(atBeta);

        Assert.Contains("migrationd_requests_total{code=\"200\",route=\"/alpha\"} 1\n", pageOfAlpha, StringComparison.Ordinal);
        Assert.Contains("migrationd_requests_total{code=\"200\",route=\"/beta\"} 2\n", pageOfBeta, StringComparison.Ordinal);
        Assert.DoesNotContain("beta", pageOfAlpha, StringComparison.Ordinal);
        Assert.DoesNotContain("alpha", pageOfBeta, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_page_is_as_things_are_when_it_is_asked_for()
    {
        (DaemonMeter meter, string address) = await OpenAsync("alpha");
        for (int count = 1; count <= 5; count++)
        {
            meter.RequestAnswered("/x", "200");
            Assert.Contains(
                $"migrationd_requests_total{{code=\"200\",route=\"/x\"}} {count}\n", await _http.GetStringAsync(address), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Nothing_is_lost_between_threads()
    {
        (DaemonMeter meter, string address) = await OpenAsync("alpha");
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                meter.FaultServed(0);
            }
        })));

        string page = await _http.GetStringAsync(address);
        Assert.Contains("migrationd_fault_latency_seconds_count{} 80000\n", page, StringComparison.Ordinal);
    }

    private async Task<(DaemonMeter Meter, string Address)> OpenAsync(string node)
    {
        var meter = new DaemonMeter(node, new GuestRegistry(Budget), Budget);
        MetricsExport export = MetricsExport.Begin(meter, node, hasPage: true, collector: null, NullLogger.Instance);
        _daemons.AddRange([export, meter]);
        Door door = await ReaderDoor.OpenAsync(
            new IPEndPoint(IPAddress.Loopback, 0), 16, PeerSecurity.None, export.Map, new RequestMeter(meter), NullLoggerFactory.Instance);
        _doors.Add(door);
        return (meter, $"http://{door.Address}{MetricsExport.Path}");
    }
}
