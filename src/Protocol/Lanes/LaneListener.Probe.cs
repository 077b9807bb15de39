using System.Collections.Concurrent;
using System.Net.Sockets;

namespace MigrationD.Protocol.Lanes;

/// <content>How a listener finds out whether it takes connections.</content>
public sealed partial class LaneListener
{
    // Connections to itself that are on their way, by the address that they come from.
    private readonly ConcurrentDictionary<EndPoint, TaskCompletionSource> _probes = new();

    /// <summary>
    /// Connects to itself and waits until the accepting thread has taken the connection; that the kernel has queued it says nothing about
    /// that thread. The connection is known by its address: it needs no certificate, takes no place of a lane, and is not logged.
    /// </summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SocketException">Nobody listens, or this process is out of descriptors or ports.</exception>
    /// <exception cref="OperationCanceledException">It was not taken before <paramref name="cancellationToken"/>.</exception>
    public async Task ProbeAsync(CancellationToken cancellationToken)
    {
        IPAddress address = LocalEndPoint.Address.Equals(IPAddress.Any) ? IPAddress.Loopback
            : LocalEndPoint.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback
            : LocalEndPoint.Address;
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        // Bound before it connects, so that its address is known before the accepting thread can see it.
        socket.Bind(new IPEndPoint(address, 0));
        EndPoint own = socket.LocalEndPoint!;
        var taken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _probes[own] = taken;
        try
        {
            await socket.ConnectAsync(new IPEndPoint(address, LocalEndPoint.Port), cancellationToken).ConfigureAwait(false);
            await taken.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _probes.TryRemove(own, out _);
        }
    }

    private bool IsProbe(Socket connection) =>
        !_probes.IsEmpty
        && connection.RemoteEndPoint is { } peer
        && _probes.TryRemove(peer, out TaskCompletionSource? probe)
        && probe.TrySetResult();
}
