using System.Net.Sockets;

namespace MigrationD.Benchmarks.Peers;

/// <summary>A unix socket that QEMU connects to when it starts: nobody has to ask again and again whether it is there yet.</summary>
internal sealed class QemuSocket : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public QemuSocket(string path)
    {
        Path = path;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(1);
    }

    public string Path { get; }

    public Task<Socket> AcceptAsync(CancellationToken cancellation) => _listener.AcceptAsync(cancellation).AsTask();

    public void Dispose() => _listener.Dispose();
}
