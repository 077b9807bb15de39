using System.Net;
using System.Net.Sockets;

namespace MigrationD.EndToEnd.Tests;

/// <summary>
/// An address on loopback that nobody listens on. Its port is taken until the test is over: one that was given back could be the next that
/// another test's daemon listens on.
/// </summary>
internal sealed class DeadAddress : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public DeadAddress() => _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

    /// <summary>HOST:PORT.</summary>
    public override string ToString() => _socket.LocalEndPoint!.ToString()!;

    public void Dispose() => _socket.Dispose();
}
