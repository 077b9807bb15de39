using System.Net;
using System.Net.Sockets;

namespace MigrationD.Protocol.Tests.Calls;

/// <summary>
/// Carries one TCP connection to a server until it is told to fall silent: from then on both connections stay open and nothing passes, as
/// when a cable is pulled.
/// </summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _silent = new();
    private readonly CancellationTokenSource _closed = new();
    private readonly Task _carrying;

    public Relay(string server)
    {
        _listener.Start();
        _carrying = CarryAsync(IPEndPoint.Parse(server));
    }

    /// <summary>127.0.0.1:PORT.</summary>
    public string Target => _listener.LocalEndpoint.ToString()!;

    public void FallSilent() => _silent.Cancel();

    public async ValueTask DisposeAsync()
    {
        await _silent.CancelAsync();
        await _closed.CancelAsync();
        await _carrying;
        _listener.Dispose();
    }

    private async Task CarryAsync(IPEndPoint server)
    {
        try
        {
            using TcpClient inner = await _listener.AcceptTcpClientAsync(_closed.Token);
            using var outer = new TcpClient();
            await outer.ConnectAsync(server, _closed.Token);
            await Task.WhenAll(CopyAsync(inner, outer), CopyAsync(outer, inner));

            // Only its disposal closes the two connections.
            await Task.Delay(Timeout.Infinite, _closed.Token);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task CopyAsync(TcpClient from, TcpClient to)
    {
        try
        {
            await from.GetStream().CopyToAsync(to.GetStream(), _silent.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException)
        {
            // Told to, or one end has closed.
        }
    }
}
