using System.Diagnostics;
using System.Globalization;
using MigrationD.Daemon.Hosting.Systemd;
using MigrationD.Daemon.Tests.Guests;
using MigrationD.Protocol.Refusals;
using MigrationD.TestSupport;

namespace MigrationD.Daemon.Tests.Hosting.Systemd;

public sealed class ServiceNotifierTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, string> _environment = [];
    private readonly RecordedLog _log = new();
    private string _doing = "no guests";

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("notify.sock")]
    [InlineData("@")]
    public async Task It_tells_a_service_manager_what_the_daemon_does(string name)
    {
        using DatagramListener manager = Listen(name);
        await using ServiceNotifier service = Notifier();
        Assert.Equal("STATUS=no guests", await manager.ReceiveAsync());

        service.Ready();
        Assert.Equal("READY=1", await manager.ReceiveAsync());

        _doing = "1 guest running";
        Assert.Equal("STATUS=1 guest running", await manager.ReceiveAsync());

        service.Stopping(TimeSpan.FromSeconds(100));
        Assert.Equal("STOPPING=1\nEXTEND_TIMEOUT_USEC=120000000", await manager.ReceiveAsync());
        Assert.Equal("STATUS=stopping: 1 guest running", await manager.ReceiveAsync());

        _doing = "no guests";
        Assert.Equal("STATUS=stopping: no guests", await manager.ReceiveAsync());
    }

    [Fact]
    public async Task A_reload_has_the_time_at_which_it_began()
    {
        using DatagramListener manager = Listen("notify.sock");
        await using ServiceNotifier service = Notifier();
        double before = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency * 1e6;

        service.Reloading();

        string told = await manager.ReceiveAsync("RELOADING=1\n");
        double after = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency * 1e6;
        string time = told["RELOADING=1\nMONOTONIC_USEC=".Length..];
        Assert.InRange(long.Parse(time, NumberStyles.None, CultureInfo.InvariantCulture), before - 1, after);
    }

    [Fact]
    public async Task The_watchdog_hears_of_each_answer()
    {
        _environment[Watchdog.TimeoutVariable] = "400000";
        _environment[Watchdog.ProcessVariable] = System.Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        using DatagramListener manager = Listen("notify.sock");
        int asked = 0;
        await using ServiceNotifier service = Notifier(_ =>
        {
            Interlocked.Increment(ref asked);
            return Task.CompletedTask;
        });

        await manager.ReceiveAsync("WATCHDOG=1");
        await manager.ReceiveAsync("WATCHDOG=1");
        Assert.True(asked >= 2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_watchdog_hears_nothing_of_a_daemon_that_does_not_answer(bool atAll)
    {
        _environment[Watchdog.TimeoutVariable] = "400000";
        using DatagramListener manager = Listen("notify.sock");
        using var thrice = new SemaphoreSlim(0);
        bool answers = false;
        await using ServiceNotifier service = Notifier(cancel =>
        {
            thrice.Release();
            return answers ? Task.CompletedTask
                : atAll ? throw new Refusal(Because.Unreachable, "busy")
                : Task.Delay(Timeout.InfiniteTimeSpan, cancel);
        });
        Assert.Equal("STATUS=no guests", await manager.ReceiveAsync());

        for (int i = 0; i < 3; i++)
        {
            Assert.True(await thrice.WaitAsync(TimeSpan.FromSeconds(30)));
        }

        // The third question is asked after two that were not answered, and nothing was said of either.
        Assert.Empty(manager.ReceiveAll());
        answers = true;
        Assert.Equal("WATCHDOG=1", await manager.ReceiveAsync());
    }

    [Fact]
    public async Task Nothing_happens_without_a_service_manager()
    {
        _environment[Watchdog.TimeoutVariable] = "1000";
        int calls = 0;
        await using (var service = new ServiceNotifier(
            Socket(), Environment, () => $"{++calls}", _ => Task.FromResult(++calls), _log))
        {
            service.Ready();
            service.Reloading();
            service.Stopping(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(0, calls);
    }

    [Theory]
    [InlineData("vsock:2:1234")]
    [InlineData("relative/path")]
    [InlineData("/nowhere/at/all")]
    [InlineData("/a-path-that-is-longer-than-an-address-may-be-a-path-that-is-longer-than-an-address-may-be-a-path-that-is-longer-than-it")]
    public async Task A_service_manager_that_cannot_be_reached_stops_nothing_and_is_logged_once(string address)
    {
        _environment[NotifySocket.Variable] = address;
        await using ServiceNotifier service = Notifier();
        service.Ready();
        service.Reloading();
        service.Stopping(TimeSpan.FromSeconds(1));
        Assert.StartsWith(
            $"The service manager at {address} is not told what this daemon does: ", Assert.Single(_log.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public void A_service_manager_that_goes_is_logged_once_each_time()
    {
        NotifySocket socket;
        using (DatagramListener first = Listen("notify.sock"))
        {
            socket = Socket();
            socket.Send("READY=1");
        }

        File.Delete(_folder.PathOf("notify.sock"));
        socket.Send("STATUS=1");
        socket.Send("STATUS=2");
        using (DatagramListener second = Listen("notify.sock"))
        {
            socket.Send("STATUS=3");
        }

        File.Delete(_folder.PathOf("notify.sock"));
        socket.Send("STATUS=4");
        Assert.Equal(2, _log.Lines.Count);
    }

    [Theory]
    [InlineData("30000000", "", 30_000)]
    [InlineData("30000000", null, 30_000)]
    [InlineData("30000000", "7", 30_000)]
    [InlineData("30000000", "8", null)]
    [InlineData("0", "7", null)]
    [InlineData("-5", "7", null)]
    [InlineData("9223372036854775807", "7", null)]
    [InlineData("soon", "7", null)]
    [InlineData("", "7", null)]
    [InlineData(null, null, null)]
    public void The_watchdog_looks_at_the_process_that_it_names(string? time, string? process, int? milliseconds)
    {
        TimeSpan? expected = milliseconds is { } count ? TimeSpan.FromMilliseconds(count) : null;
        Assert.Equal(expected, Watchdog.Timeout(time, process, self: 7));
    }

    private DatagramListener Listen(string name)
    {
        string address = name == "@" ? $"@migrationd-test-{Guid.NewGuid():N}" : _folder.PathOf(name);
        _environment[NotifySocket.Variable] = address;
        return new DatagramListener(address);
    }

    private ServiceNotifier Notifier(Func<CancellationToken, Task>? probe = null) =>
        new(Socket(), Environment, () => _doing, probe ?? (_ => Task.CompletedTask), _log);

    /// <summary>The socket, as it is for a process with this environment: it is read where the socket is created.</summary>
    private NotifySocket Socket()
    {
        string? own = System.Environment.GetEnvironmentVariable(NotifySocket.Variable);
        System.Environment.SetEnvironmentVariable(NotifySocket.Variable, Environment(NotifySocket.Variable));
        try
        {
            return new NotifySocket(_log);
        }
        finally
        {
            System.Environment.SetEnvironmentVariable(NotifySocket.Variable, own);
        }
    }

    private string? Environment(string name) => _environment.GetValueOrDefault(name);
}
