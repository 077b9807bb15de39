using System.Diagnostics;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>
/// What the service manager is told of this daemon: when it serves, what it does, that it lives, when it reads its configuration anew, and
/// when it stops. Where none asks to be told, nothing happens.
/// </summary>
internal sealed class ServiceNotifier : IAsyncDisposable
{
    private static readonly TimeSpan StatusInterval = TimeSpan.FromSeconds(1);

    // Closing the doors and the process's end, after the migrations.
    private static readonly TimeSpan TimeToClose = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly NotifySocket _socket;
    private readonly Func<string> _describe;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _work;
    private string _status = "";
    private string _prefix = "";

    /// <summary>Begins to tell, after <see cref="Ready"/>.</summary>
    /// <param name="socket">The way to the service manager.</param>
    /// <param name="environment">Gives a variable of this process's environment.</param>
    /// <param name="describe">What the daemon does now, in one line.</param>
    /// <param name="probe">Returns when the daemon has answered a call.</param>
    /// <param name="logger">Hears of what goes wrong.</param>
    public ServiceNotifier(
        NotifySocket socket, Func<string, string?> environment, Func<string> describe, Func<CancellationToken, Task> probe, ILogger logger)
    {
        _describe = describe;
        _socket = socket;
        _work = Task.CompletedTask;
        if (_socket.IsNamed)
        {
            TimeSpan? timeout = Watchdog.Timeout(
                environment(Watchdog.TimeoutVariable), environment(Watchdog.ProcessVariable), Environment.ProcessId);
            // Two tasks: what the guests do may take its time to find out, and the watchdog's time is short.
            _work = Task.WhenAll(
                Task.Run(() => KeepStatusAsync(_end.Token)),
                timeout is { } time ? Task.Run(() => new Watchdog(_socket, time, probe, logger).RunAsync(_end.Token)) : Task.CompletedTask);
        }
    }

    /// <summary>All doors are open, for the first time or with what was read anew.</summary>
    public void Ready() => _socket.Send("READY=1");

    /// <summary>The configuration is being read anew; <see cref="Ready"/> ends it.</summary>
    // The stopwatch counts CLOCK_MONOTONIC, by which systemd tells this answer to its signal from one to an earlier signal.
    public void Reloading() => _socket.Send(string.Create(
        CultureInfo.InvariantCulture,
        $"RELOADING=1\nMONOTONIC_USEC={(long)(Stopwatch.GetTimestamp() * (1e6 / Stopwatch.Frequency))}"));

    /// <summary>The daemon stops, and may take this long for its migrations.</summary>
    public void Stopping(TimeSpan longest)
    {
        if (_socket.IsNamed)
        {
            // However short the unit's own timeout is: it must not end a guest that is about to be whole elsewhere.
            _socket.Send(string.Create(
                CultureInfo.InvariantCulture, $"STOPPING=1\nEXTEND_TIMEOUT_USEC={(long)(longest + TimeToClose).TotalMicroseconds}"));
            lock (_lock)
            {
                _prefix = "stopping: ";
                Tell();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _work.ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task KeepStatusAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(StatusInterval);
        try
        {
            do
            {
                TellStatus();
            }
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // The daemon ends.
        }
    }

    private void TellStatus()
    {
        string now = _describe();
        lock (_lock)
        {
            if (now != _status)
            {
                _status = now;
                Tell();
            }
        }
    }

    private void Tell() => _socket.Send($"STATUS={_prefix}{_status}");
}
