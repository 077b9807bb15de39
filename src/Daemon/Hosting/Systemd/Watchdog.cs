using MigrationD.Daemon.Logging;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>
/// Tells the service manager that this daemon lives, each time after it has shown it, and not otherwise: a daemon that answers nobody is
/// ended and started again, however well the thread is that would say so.
/// </summary>
/// <param name="socket">The way to the service manager.</param>
/// <param name="timeout">After so long without a word the service manager ends this process.</param>
/// <param name="probe">Returns when the daemon has answered.</param>
/// <param name="logger">Hears of answers that did not come.</param>
internal sealed class Watchdog(NotifySocket socket, TimeSpan timeout, Func<CancellationToken, Task> probe, ILogger logger)
{
    /// <summary>Where a service manager says how often it wants to hear, in microseconds.</summary>
    public const string TimeoutVariable = "WATCHDOG_USEC";

    /// <summary>Whom it wants to hear from, when it says so.</summary>
    public const string ProcessVariable = "WATCHDOG_PID";

    /// <summary>How long this process may be silent; null when no watchdog looks at it.</summary>
    /// <param name="microseconds">What WATCHDOG_USEC says.</param>
    /// <param name="process">What WATCHDOG_PID says.</param>
    /// <param name="self">This process.</param>
    public static TimeSpan? Timeout(string? microseconds, string? process, int self) =>
        (string.IsNullOrEmpty(process) || process == self.ToString(CultureInfo.InvariantCulture))
        && long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out long time)
        && time is > 0 and < long.MaxValue / TimeSpan.TicksPerMicrosecond
            ? TimeSpan.FromMicroseconds(time)
            : null;

    /// <summary>Asks and tells until <paramref name="cancellationToken"/> fires.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            bool answered = await AnswersAsync(cancellationToken).ConfigureAwait(false);
            if (answered)
            {
                socket.Send("WATCHDOG=1");
            }

            // After an answer half of the time is left for the next one, which may take half of that and then be asked for again.
            TimeSpan pause = answered ? timeout / 2 : timeout / 16;
            await Task.Delay(pause, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<bool> AnswersAsync(CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout / 4);
        try
        {
            await probe(deadline.Token).ConfigureAwait(false);
            return true;
        }
        catch (Exception error) when (error is Refusal or OperationCanceledException)
        {
            if (!cancellationToken.IsCancellationRequested)
            {
                string reason = error is Refusal ? error.Message : $"no answer within {(timeout / 4).TotalSeconds:0.#} s";
                DaemonLog.OwnCallUnanswered(logger, reason, timeout.TotalSeconds);
            }

            return false;
        }
    }
}
