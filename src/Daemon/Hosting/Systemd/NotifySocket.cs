using System.Net.Sockets;
using Microsoft.Extensions.Hosting.Systemd;
using MigrationD.Daemon.Logging;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>
/// The way to the service manager that started this process: one datagram a message, to the socket that it names in NOTIFY_SOCKET
/// (sd_notify(3)). The environment is read when this is created.
/// </summary>
/// <param name="logger">Hears of the first message that is not taken.</param>
internal sealed class NotifySocket(ILogger logger)
{
    /// <summary>Where a service manager says how it is to be reached.</summary>
    public const string Variable = "NOTIFY_SOCKET";

    private readonly SystemdNotifier _notifier = new();
    private readonly string? _address = Environment.GetEnvironmentVariable(Variable);
    private bool _refused;

    /// <summary>Whether a service manager wants to know.</summary>
    public bool IsNamed => _notifier.IsEnabled;

    /// <summary>
    /// Sends lines of KEY=VALUE; does nothing where no service manager wants to know. A message that nobody takes is logged, the first
    /// time: guests run on without a service manager.
    /// </summary>
    public void Send(string message)
    {
        try
        {
            _notifier.Notify(new ServiceState(message));
            Volatile.Write(ref _refused, false);
        }
        // The package throws the latter for an address that is longer than one may be.
        catch (Exception error) when (error is SocketException or ArgumentException)
        {
            if (!Interlocked.Exchange(ref _refused, true))
            {
                DaemonLog.ServiceManagerUnreachable(logger, _address ?? "", error.Message);
            }
        }
    }
}
