using System.Net.Sockets;
using Serilog.Core;
using Serilog.Events;

namespace MigrationD.Daemon.Logging;

/// <summary>
/// Writes to the journal in its own form, so that priorities and fields arrive. What the journal's socket does not take goes to standard
/// error, which leads to the journal as well, as a line with its priority in front (sd-daemon(3)).
/// </summary>
/// <param name="path">The path of the journal's socket.</param>
/// <param name="otherwise">Takes the lines that the socket does not.</param>
internal sealed class JournaldSink(string path, TextWriter otherwise) : ILogEventSink, IDisposable
{
    /// <summary>Where the journal of this host listens.</summary>
    public const string DefaultPath = "/run/systemd/journal/socket";

    private readonly Lock _lock = new();
    // Each entry is sent to the path, as the socket there is another one when the journal has been started anew.
    private readonly UnixDomainSocketEndPoint _journal = new(path);
    // A journal that hangs must not hold up migrations for long.
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = 1000 };
    private bool _closed;

    public void Emit(LogEvent logEvent)
    {
        byte[] entry = JournaldEntry.Of(logEvent);
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            try
            {
                _socket.SendTo(entry, _journal);
            }
            catch (SocketException)
            {
                otherwise.WriteLine($"<{JournaldEntry.Priority(logEvent.Level)}>{JournaldEntry.Text(logEvent).ReplaceLineEndings(" ")}");
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
