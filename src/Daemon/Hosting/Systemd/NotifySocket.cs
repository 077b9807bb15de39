using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace MigrationD.Daemon.Hosting.Systemd;

/// <summary>
/// The way to the service manager that started this process: one datagram a message, to the socket that it names in NOTIFY_SOCKET
/// (sd_notify(3)).
/// </summary>
internal sealed class NotifySocket : IDisposable
{
    /// <summary>Where a service manager says how it is to be reached.</summary>
    public const string Variable = "NOTIFY_SOCKET";

    private readonly Lock _lock = new();
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly UnixDomainSocketEndPoint _manager;
    private readonly string _address;
    private readonly ILogger _logger;
    private bool _refused;
    private bool _closed;

    private NotifySocket(string address, ILogger logger)
    {
        _address = address;
        _logger = logger;
        // '@' stands for the zero byte that begins an address outside the file system (unix(7)).
        _manager = new UnixDomainSocketEndPoint(address[0] == '@' ? "\0" + address[1..] : address);
    }

    /// <summary>The socket at this address; null when nobody wants to know, or in a way that this program does not speak.</summary>
    /// <param name="address">What NOTIFY_SOCKET says.</param>
    /// <param name="logger">Hears of an address that cannot be used, and of the first message that is not taken.</param>
    public static NotifySocket? Open(string? address, ILogger logger)
    {
        if (string.IsNullOrEmpty(address))
        {
            return null;
        }

        try
        {
            if (address[0] is '/' or '@')
            {
                return new NotifySocket(address, logger);
            }
        }
        catch (ArgumentException)
        {
            // Longer than an address may be.
        }

        DaemonLog.ServiceManagerUnreachable(logger, address, "this is neither a path nor the name of an abstract socket");
        return null;
    }

    /// <summary>Sends lines of KEY=VALUE. A message that nobody takes is logged, the first time: guests run on without a service manager.</summary>
    public void Send(string message)
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            try
            {
                _socket.SendTo(Encoding.UTF8.GetBytes(message), _manager);
                _refused = false;
            }
            catch (SocketException error)
            {
                if (!_refused)
                {
                    DaemonLog.ServiceManagerUnreachable(_logger, _address, error.Message);
                }

                _refused = true;
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            _socket.Dispose();
        }
    }
}
