using System.Net.Sockets;
using System.Text;

namespace MigrationD.TestSupport;

/// <summary>What a service manager or a journal has at its end: a socket of datagrams.</summary>
public sealed class DatagramListener : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    /// <summary>Listens.</summary>
    /// <param name="path">Where to listen; a name that begins with '@' is outside the file system.</param>
    public DatagramListener(string path)
    {
        _socket.Bind(new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path));
    }

    /// <summary>The next message.</summary>
    /// <exception cref="OperationCanceledException">None has come for 30 seconds.</exception>
    public async Task<byte[]> ReceiveBytesAsync()
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        byte[] buffer = new byte[256 * 1024];
        int length = await _socket.ReceiveAsync(buffer, deadline.Token);
        return buffer[..length];
    }

    /// <summary>The next message, of text.</summary>
    public async Task<string> ReceiveAsync() => Encoding.UTF8.GetString(await ReceiveBytesAsync());

    /// <summary>The next message that begins so; those before it are dropped.</summary>
    public async Task<string> ReceiveAsync(string beginning)
    {
        string message;
        do
        {
            message = await ReceiveAsync();
        }
        while (!message.StartsWith(beginning, StringComparison.Ordinal));
        return message;
    }

    /// <summary>What has come and has not been received; does not wait.</summary>
    public IReadOnlyList<string> ReceiveAll()
    {
        var messages = new List<string>();
        byte[] buffer = new byte[256 * 1024];
        while (_socket.Poll(0, SelectMode.SelectRead))
        {
            messages.Add(Encoding.UTF8.GetString(buffer, 0, _socket.Receive(buffer)));
        }

        return messages;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
